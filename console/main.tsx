import { CSPProvider } from "@base-ui/react/csp-provider";
import { QueryClient, QueryClientProvider } from "@tanstack/react-query";
import { RouterProvider } from "@tanstack/react-router";
import { StrictMode } from "react";
import { createRoot } from "react-dom/client";
import { onSignedOut } from "./api/client.ts";
import { readAgain } from "./api/live.ts";
import { router } from "./app/router.tsx";
import { SessionGate } from "./app/session.tsx";
import { applyTheme } from "./app/theme.ts";
import "./style/base.css";
import "./style/shell.css";
import "./style/parts.css";

applyTheme();

const queries = new QueryClient({
  defaultOptions: {
    // The local stack is there without a network, too: the browser's word on that is not asked.
    mutations: { networkMode: "always" },
    queries: {
      networkMode: "always",
      // The client of the API tries again by itself; what it gives up has to be told, and is read again later.
      retry: false,
      refetchInterval: readAgain,
      staleTime: 2_000,
    },
  },
});

// A token that was revoked, or a session that ended: back to the way in.
onSignedOut(() => void queries.resetQueries({ queryKey: ["session"] }));

const root = document.getElementById("root");
if (!root) throw new Error("the page has no place for the console");
createRoot(root).render(
  <StrictMode>
    {/* The content policy takes no inline styles. */}
    <CSPProvider disableStyleElements>
      <QueryClientProvider client={queries}>
        <SessionGate>
          <RouterProvider router={router} />
        </SessionGate>
      </QueryClientProvider>
    </CSPProvider>
  </StrictMode>,
);
