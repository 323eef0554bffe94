import { localStorageColorSchemeManager, MantineProvider } from "@mantine/core";
import { Notifications } from "@mantine/notifications";
import { QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { useState } from "react";
import { createQueryClient } from "@/api/query-client";
import { styleNonce } from "./nonce";
import { createAppRouter } from "./router";
import { cssVariables, theme } from "./theme";

// `public/theme.js` reads the same key before the first paint.
const colorSchemes = localStorageColorSchemeManager({ key: "trinity.color-scheme" });

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
      <Notifications position="bottom-right" containerWidth={360} />
    </MantineProvider>
  );
}
