import {
  ActionIcon,
  Button,
  Checkbox,
  NativeSelect,
  Popover,
  Stack,
  useMantineColorScheme,
} from "@mantine/core";
import { IconUser } from "@tabler/icons-react";
import { useMutation } from "@tanstack/react-query";
import { useMemo } from "react";
import { SHORTCUTS, TIME_ZONE } from "@/app/preferences";
import { logOut } from "@/features/auth/log-in";
import { useSession } from "@/features/auth/session";
import { useStored } from "@/lib/storage";
import { useSignedOut } from "./use-signed-out";
import classes from "./user-menu.module.css";

/** Who is logged in, how they like it, and the way out. */
export function UserMenu() {
  const { username, role } = useSession().value;
  return (
    <Popover position="bottom-end" width={272} shadow="none" trapFocus returnFocus>
      <Popover.Target>
        <ActionIcon size={32} aria-label={`Settings and log out, ${username}`}>
          <IconUser size={17} stroke={1.6} />
        </ActionIcon>
      </Popover.Target>
      <Popover.Dropdown aria-label="Settings" className={classes.menu}>
        <Stack gap="sm">
          <div>
            <div className={classes.name}>{username}</div>
            <div className={classes.role}>{role ?? "agent"}</div>
          </div>
          <ThemeChoice />
          <ZoneChoice />
          <ShortcutsChoice />
          <LogOut />
        </Stack>
      </Popover.Dropdown>
    </Popover>
  );
}

function ThemeChoice() {
  const { colorScheme, setColorScheme } = useMantineColorScheme();
  const data = [
    { value: "auto", label: "As the system" },
    { value: "light", label: "Light" },
    { value: "dark", label: "Dark" },
  ] as const;
  return (
    <NativeSelect
      label="Theme"
      size="xs"
      data={data.map((option) => ({ ...option }))}
      value={colorScheme}
      onChange={(event) => {
        const chosen = data.find(({ value }) => value === event.currentTarget.value);
        if (chosen) setColorScheme(chosen.value);
      }}
    />
  );
}

function ZoneChoice() {
  const [zone, setZone] = useStored(TIME_ZONE);
  const data = useMemo(() => {
    const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const others = Intl.supportedValuesOf("timeZone").filter((name) => name !== "UTC");
    return [{ value: "local", label: `Local (${own})` }, "UTC", ...others];
  }, []);
  return (
    <NativeSelect
      label="Time zone"
      size="xs"
      data={data}
      value={zone}
      onChange={(event) => setZone(event.currentTarget.value)}
    />
  );
}

function ShortcutsChoice() {
  const [shortcuts, setShortcuts] = useStored(SHORTCUTS);
  return (
    <Checkbox
      label="Single-key shortcuts"
      size="xs"
      checked={shortcuts === "on"}
      onChange={(event) => setShortcuts(event.currentTarget.checked ? "on" : "off")}
    />
  );
}

function LogOut() {
  const onSignedOut = useSignedOut();
  const logout = useMutation({ mutationFn: logOut, onSuccess: () => onSignedOut("deliberately") });
  return (
    <Button variant="default" size="xs" loading={logout.isPending} onClick={() => logout.mutate()}>
      Log out
    </Button>
  );
}
