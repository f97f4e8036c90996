// Which page is shown, and what surrounds it.

import {
  Activity,
  BookOpen,
  KeyRound,
  LogOut,
  Monitor,
  Moon,
  Package,
  ScrollText,
  Settings as SettingsIcon,
  ShieldCheck,
  Sun,
  Users,
} from "lucide-react";
import { type ReactNode, useEffect, useRef } from "react";
import { Link, Redirect, Route, Switch, useLocation } from "wouter";

import { Audit } from "./pages/audit";
import { KeyPage } from "./pages/key";
import { Keys } from "./pages/keys";
import { Login, SignInLink } from "./pages/login";
import { Overview } from "./pages/overview";
import { Owners } from "./pages/owners";
import { Policies } from "./pages/policies";
import { Products } from "./pages/products";
import { Reference } from "./pages/reference";
import { Settings } from "./pages/settings";
import { useTheme } from "./parts/theme";
import { ToastProvider } from "./parts/toast";
import { Empty, Failure, IconButton, Loading } from "./parts/ui";
import { useIsBound, useSession, useSigned } from "./session";

export function App() {
  const { session, failure, retry } = useSigned();
  const [path] = useLocation();
  if (path === "/sign-in") {
    return <SignInLink />;
  }
  if (failure !== null) {
    return (
      <main className="alone">
        <Failure error={failure} retry={retry} />
      </main>
    );
  }
  if (session === undefined) {
    return (
      <main className="alone">
        <Loading />
      </main>
    );
  }
  if (session === null) return <Login />;
  return (
    <ToastProvider>
      <Shell />
    </ToastProvider>
  );
}

interface Place {
  path: string;
  name: string;
  icon: ReactNode;
  /** Whether it is about the gate as a whole, which an owner does not see. */
  isOfGate: boolean;
}

const PLACES: Place[] = [
  { path: "/", name: "Overview", icon: <Activity />, isOfGate: true },
  { path: "/keys", name: "API Keys", icon: <KeyRound />, isOfGate: false },
  { path: "/audit", name: "Audit log", icon: <ScrollText />, isOfGate: false },
  { path: "/owners", name: "Owners", icon: <Users />, isOfGate: true },
  { path: "/products", name: "Products", icon: <Package />, isOfGate: true },
  { path: "/policies", name: "Policies", icon: <ShieldCheck />, isOfGate: true },
  { path: "/settings", name: "Settings", icon: <SettingsIcon />, isOfGate: true },
  { path: "/reference", name: "API reference", icon: <BookOpen />, isOfGate: false },
];

function Shell() {
  const isBound = useIsBound();
  const [path] = useLocation();
  const main = useRef<HTMLElement>(null);
  const shown = PLACES.filter((place) => !isBound || !place.isOfGate);
  const here = shown.find((place) => (place.path === "/" ? path === "/" : path.startsWith(place.path)));

  useEffect(() => {
    document.title = here ? `${here.name} · Portcullis` : "Portcullis";
  }, [here]);

  return (
    <div className="shell">
      <a className="skip" href="#main" onClick={(event) => (event.preventDefault(), main.current?.focus())}>
        Skip to the page
      </a>
      <aside className="side">
        <div className="brand">
          <Mark />
          <span>Portcullis</span>
        </div>
        <nav aria-label="Main">
          {shown.map((place) => (
            <Link
              key={place.path}
              href={place.path}
              className={place === here ? "place here" : "place"}
              aria-current={place === here ? "page" : undefined}
            >
              {place.icon}
              <span>{place.name}</span>
            </Link>
          ))}
        </nav>
        <Who />
      </aside>
      <main id="main" ref={main} tabIndex={-1}>
        <Switch>
          {!isBound && <Route path="/" component={Overview} />}
          <Route path="/keys" component={Keys} />
          <Route path="/keys/:id/:tab?">{({ id, tab }) => <KeyPage key={id} id={id} tab={tab} />}</Route>
          <Route path="/audit" component={Audit} />
          {!isBound && <Route path="/owners" component={Owners} />}
          {!isBound && <Route path="/products" component={Products} />}
          {!isBound && <Route path="/policies" component={Policies} />}
          {!isBound && <Route path="/settings" component={Settings} />}
          <Route path="/reference" component={Reference} />
          {isBound && (
            <Route path="/">
              <Redirect to="/keys" replace />
            </Route>
          )}
          <Route>
            <Empty title="There is no such page.">
              <Link href="/keys">To the keys</Link>
            </Empty>
          </Route>
        </Switch>
      </main>
    </div>
  );
}

export function Mark() {
  return (
    <svg className="mark" viewBox="0 0 32 32" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path d="M8 26V13a8 8 0 0 1 16 0v13M13.300 6.200V26M18.700 6.200V26M8 13h16M8 19.500h16" />
    </svg>
  );
}

function Who() {
  const session = useSession();
  const { signOut } = useSigned();
  const { choice, choose } = useTheme();
  const next = choice === "system" ? "light" : choice === "light" ? "dark" : "system";
  return (
    <div className="who">
      <div className="who-name">
        <span title={session.actor.id}>{session.owner?.name ?? session.actor.name}</span>
        <span className="muted">{session.owner ? "owner" : session.role}</span>
      </div>
      <IconButton label={`Theme: ${choice}. Change to ${next}`} onClick={() => choose(next)}>
        {choice === "system" ? <Monitor /> : choice === "light" ? <Sun /> : <Moon />}
      </IconButton>
      <IconButton label="Sign out" onClick={() => void signOut()}>
        <LogOut />
      </IconButton>
    </div>
  );
}
