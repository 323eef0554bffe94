import classes from "./kbd.module.css";

/** Keys to press, such as `g d` or `mod+k`; `mod` is what this machine's keyboard calls it. */
export function Kbd({ keys }: { keys: string }) {
  return (
    <span className={classes.keys}>
      {keys.split(" ").map((press) => (
        <kbd key={press} className={classes.key}>
          {press.startsWith("mod+") ? withModifier(press.slice(4)) : press}
        </kbd>
      ))}
    </span>
  );
}

const isApple = /mac|iphone|ipad/i.test(navigator.userAgent);

function withModifier(key: string): string {
  return `${isApple ? "⌘" : "Ctrl+"}${key.length === 1 ? key.toUpperCase() : key}`;
}
