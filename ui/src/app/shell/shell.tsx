import { Outlet, useRouterState } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { useActions } from "@/app/actions/use-actions";
import { useKeyboard } from "@/app/actions/use-keyboard";
import { ErrorBoundary } from "@/components/error-boundary";
import { LiveProvider } from "@/live/provider";
import { Navigation } from "./navigation";
import { PausedBanner } from "./paused-banner";
import classes from "./shell.module.css";
import { TopBar } from "./top-bar";
import { useAppActions } from "./use-app-actions";
import { useRouteFocus } from "./use-route-focus";
import { useSignedOut } from "./use-signed-out";

const CommandPalette = lazy(async () => ({
  default: (await import("./command-palette")).CommandPalette,
}));
const ShortcutHelp = lazy(async () => ({
  default: (await import("./shortcut-help")).ShortcutHelp,
}));

/** What stands around every page: top bar, navigation, live stream, palette, keyboard. */
export function Shell() {
  const onSignedOut = useSignedOut();
  return (
    <LiveProvider onSignedOut={onSignedOut}>
      <Frame />
    </LiveProvider>
  );
}

function Frame() {
  const pathname = useRouterState({ select: (state) => state.location.pathname });
  const dialogs = useDialogs();
  useKeyboard();
  useAppActions();
  useRouteFocus();
  return (
    <div className={classes.shell}>
      <a className={classes.skip} href="#main">
        Skip to the content
      </a>
      <TopBar onSearch={dialogs.openPalette} />
      <Navigation />
      <main id="main" className={classes.main} tabIndex={-1}>
        <PausedBanner />
        <ErrorBoundary resetKey={pathname}>
          <Outlet />
        </ErrorBoundary>
      </main>
      <Suspense>
        {dialogs.palette && <CommandPalette onClose={dialogs.close} />}
        {dialogs.help && <ShortcutHelp onClose={dialogs.close} />}
      </Suspense>
    </div>
  );
}

/** The dialogs that every page has; they are loaded when they are first wanted. */
function useDialogs() {
  const [open, setOpen] = useState<"palette" | "help" | null>(null);
  const openPalette = () => setOpen("palette");
  useActions([
    {
      id: "app.palette",
      label: "Search or run a command",
      group: "General",
      keys: "mod+k",
      run: openPalette,
    },
    {
      id: "app.help",
      label: "Show keyboard shortcuts",
      group: "General",
      keys: "?",
      run: () => setOpen("help"),
    },
  ]);
  return {
    palette: open === "palette",
    help: open === "help",
    openPalette,
    close: () => setOpen(null),
  };
}
