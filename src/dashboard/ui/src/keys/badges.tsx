// A key's state in a few words.

import type { Key, KeyStatus } from "../api";
import { Badge, type Tone } from "../parts/ui";

const STATUS: Record<KeyStatus, Tone> = { active: "good", suspended: "warn", expired: "calm", revoked: "bad" };

export function StatusBadge({ of }: { of: KeyStatus }) {
  return <Badge tone={STATUS[of]}>{of}</Badge>;
}

const SAYS: Record<string, [Tone, string]> = {
  rotating: ["accent", "The version before still works for a while"],
  "rotation due": ["warn", "Its rule says that it should have a new secret by now"],
  "potentially stale": ["warn", "Unused for 30 days"],
};

export function KeyBadges({ of }: { of: Key }) {
  return (
    <span className="badges">
      <StatusBadge of={of.status} />
      {of.badges.map((badge) => {
        const [tone, title] = SAYS[badge] ?? ["calm", badge];
        return (
          <Badge key={badge} tone={tone} title={title}>
            {badge}
          </Badge>
        );
      })}
      {of.protected && (
        <Badge tone="calm" title="It must be unprotected before it can be revoked">
          protected
        </Badge>
      )}
    </span>
  );
}
