import { localStorageColorSchemeManager, MantineProvider } from "@mantine/core";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { lazy, Suspense, useState } from "react";
import { createQueryClient } from "@/api/query-client";
import { styleNonce } from "./nonce";
import { createAppRouter } from "./router";
import { cssVariables, theme } from "./theme";

// `public/theme.js` reads the same key before the first paint.
const colorSchemes = localStorageColorSchemeManager({ key: "trinity.color-scheme" });

const NotificationArea = lazy(async () => ({
  default: (await import("./notification-area")).NotificationArea,
}));

/** Everything that stands around the pages. */
export function Providers() {
  const [client] = useState(createQueryClient);
  const [router] = useState(() => createAppRouter(client));
  return (
    <MantineProvider
      theme={theme}
      cssVariablesResolver={cssVariables}
      colorSchemeManager={colorSchemes}
      defaultColorScheme="auto"
      getStyleNonce={styleNonce}
    >
      <QueryClientProvider client={client}>
        <RouterProvider router={router} />
      </QueryClientProvider>
      <Suspense>
        <NotificationArea />
      </Suspense>
    </MantineProvider>
  );
}
