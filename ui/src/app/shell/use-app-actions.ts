import { useComputedColorScheme, useMantineColorScheme } from "@mantine/core";
import { useNavigate } from "@tanstack/react-router";
import { useActions } from "@/app/actions/use-actions";
import { NAV } from "@/app/nav";

/** What can be done on every page. */
export function useAppActions() {
  const navigate = useNavigate();
  const { setColorScheme } = useMantineColorScheme();
  const scheme = useComputedColorScheme("light");
  useActions([
    ...NAV.map(({ label, to, key }) => ({
      id: `go.${to}`,
      label: `Go to ${label}`,
      group: "Navigation",
      keys: `g ${key}`,
      run: () => void navigate({ to }),
    })),
    {
      id: "app.theme",
      label: scheme === "dark" ? "Use the light theme" : "Use the dark theme",
      group: "General",
      keywords: "dark light colour scheme",
      run: () => setColorScheme(scheme === "dark" ? "light" : "dark"),
    },
    {
      id: "app.search",
      label: "Search in the list",
      group: "List",
      keys: "/",
      run: () => document.querySelector<HTMLElement>("[data-search]")?.focus(),
    },
  ]);
}
