import {
  ActionIcon,
  Button,
  Checkbox,
  type CSSVariablesResolver,
  createTheme,
  defaultVariantColorsResolver,
  type MantineColorsTuple,
  Modal,
  SegmentedControl,
  Tooltip,
} from "@mantine/core";

/** From paper to ink: the only palette of controls. */
const ink: MantineColorsTuple = [
  "#f6f7f9",
  "#e6eaf0",
  "#d3d8e0",
  "#b4bcc7",
  "#8a94a0",
  "#6b7683",
  "#4d5661",
  "#333a44",
  "#1b2027",
  "#0e1116",
];

const dark: MantineColorsTuple = [
  "#e6eaf0",
  "#c4cbd5",
  "#9aa3b0",
  "#6b7683",
  "#333b47",
  "#262c36",
  "#171b22",
  "#0e1116",
  "#0a0c10",
  "#060709",
];

/** For what destroys: the colour of danger, light and dark. */
const danger: MantineColorsTuple = [
  "#fdecea",
  "#ee564b",
  "#e8897f",
  "#d9483c",
  "#c13429",
  "#a92b22",
  "#8f2119",
  "#811b14",
  "#73150f",
  "#5a0f0a",
];

/** The library's components in our tokens. */
export const theme = createTheme({
  colors: { ink, dark, danger },
  primaryColor: "ink",
  primaryShade: { light: 8, dark: 1 },
  // On ink one writes with paper: black or white would be right in one of the schemes only.
  variantColorResolver: (input) => {
    const colors = defaultVariantColorsResolver(input);
    return input.variant === "filled" ? { ...colors, color: "var(--surface)" } : colors;
  },
  fontFamily: "var(--font)",
  fontFamilyMonospace: "var(--font-mono)",
  defaultRadius: "var(--radius)",
  focusRing: "auto",
  cursorType: "pointer",
  respectReducedMotion: true,
  fontSizes: { xs: "12px", sm: "13px", md: "14px", lg: "16px", xl: "20px" },
  lineHeights: { xs: "16px", sm: "20px", md: "20px", lg: "24px", xl: "28px" },
  spacing: { xs: "8px", sm: "12px", md: "16px", lg: "24px", xl: "32px" },
  radius: { xs: "4px", sm: "4px", md: "8px", lg: "8px", xl: "8px" },
  components: {
    ActionIcon: ActionIcon.extend({ defaultProps: { variant: "subtle", color: "gray" } }),
    Button: Button.extend({ defaultProps: { size: "sm" } }),
    Checkbox: Checkbox.extend({
      vars: () => ({ root: { "--checkbox-icon-color": "var(--surface)" } }),
    }),
    Modal: Modal.extend({
      defaultProps: {
        centered: true,
        transitionProps: { duration: 120 },
        closeButtonProps: { "aria-label": "Close" },
        // Its `<header>` is not that of the page.
        attributes: { header: { role: "presentation" } },
      },
    }),
    SegmentedControl: SegmentedControl.extend({ defaultProps: { radius: "md" } }),
    Tooltip: Tooltip.extend({ defaultProps: { openDelay: 400, withArrow: false } }),
  },
});

/** The library's variables in our tokens, so that both schemes are defined in one place. */
export const cssVariables: CSSVariablesResolver = () => {
  const both = {
    "--mantine-color-body": "var(--surface)",
    "--mantine-color-text": "var(--ink)",
    "--mantine-color-dimmed": "var(--ink-dim)",
    "--mantine-color-placeholder": "var(--ink-dim)",
    "--mantine-color-default": "var(--surface)",
    "--mantine-color-default-hover": "var(--surface-hover)",
    "--mantine-color-default-color": "var(--ink)",
    "--mantine-color-default-border": "var(--button-border)",
    "--mantine-color-error": "var(--danger)",
    "--mantine-color-anchor": "var(--ink)",
    "--mantine-color-gray-light-color": "var(--ink-dim)",
    "--mantine-color-gray-light-hover": "var(--surface-hover)",
  };
  return { variables: {}, light: both, dark: both };
};
