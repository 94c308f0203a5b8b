import { Menu } from "@base-ui/react/menu";
import { Link, Outlet } from "@tanstack/react-router";
import { Button } from "../ui/button.tsx";
import { explainError } from "../ui/error-panel.tsx";
import { places } from "./places.ts";
import { useSession, useSignOut } from "./session.tsx";
import { ShortcutHelp, useShortcuts } from "./shortcuts.tsx";
import { themes, useTheme } from "./theme.ts";

/** What is around every page. */
export function Shell() {
  const shortcuts = useShortcuts();
  const leaving = useSignOut();
  return (
    <div className="shell">
      <a className="skip" href="#page">
        Skip to the page
      </a>
      <header className="top">
        <Link to="/" className="brand" aria-label="Sluice" activeOptions={{ exact: true }}>
          <img src="/icon.svg" alt="" width="22" height="22" />
          <span>Sluice</span>
        </Link>
        <nav aria-label="Places">
          {places.map(({ to, label }) => (
            <Link key={to} to={to} activeOptions={{ exact: to === "/" }} activeProps={{ "aria-current": "page" }}>
              {label}
            </Link>
          ))}
        </nav>
        <span className="grow" />
        <button
          type="button"
          className="button button-quiet"
          onClick={shortcuts.showHelp}
          aria-label="Keyboard shortcuts"
        >
          ?
        </button>
        <UserMenu signOut={leaving.signOut} />
      </header>
      {leaving.error ? (
        <div className="shell-problem" role="alert">
          <span>You are still signed in: {explainError(leaving.error)}</span>
          <Button onClick={leaving.signOut}>Try again</Button>
          <Button kind="quiet" onClick={leaving.forgive}>
            Stay
          </Button>
        </div>
      ) : null}
      <main id="page" className="page" tabIndex={-1}>
        <Outlet />
      </main>
      <ShortcutHelp open={shortcuts.isHelpShown} onClose={shortcuts.hideHelp} />
    </div>
  );
}

function UserMenu({ signOut }: { signOut: () => void }) {
  const { name, role } = useSession();
  const [theme, setTheme] = useTheme();
  return (
    <Menu.Root>
      <Menu.Trigger className="button button-quiet">{name}</Menu.Trigger>
      <Menu.Portal>
        <Menu.Positioner sideOffset={6} align="end">
          <Menu.Popup className="menu">
            <div className="menu-note">
              {name}, {role}
            </div>
            <Menu.RadioGroup value={theme} onValueChange={setTheme}>
              {themes.map((choice) => (
                <Menu.RadioItem key={choice} value={choice} className="menu-item">
                  <span className="menu-check">{theme === choice ? "✓" : ""}</span>
                  {choice === "system" ? "As the system" : choice === "light" ? "Light" : "Dark"}
                </Menu.RadioItem>
              ))}
            </Menu.RadioGroup>
            <Menu.Separator className="menu-line" />
            <Menu.Item className="menu-item" onClick={signOut}>
              <span className="menu-check" />
              Sign out
            </Menu.Item>
          </Menu.Popup>
        </Menu.Positioner>
      </Menu.Portal>
    </Menu.Root>
  );
}
