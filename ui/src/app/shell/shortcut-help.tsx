import { Modal } from "@mantine/core";
import { useAllActions } from "@/app/actions/use-actions";
import { SHORTCUTS } from "@/app/preferences";
import { Kbd } from "@/components/kbd";
import { useStored } from "@/lib/storage";
import classes from "./shortcut-help.module.css";

/** The keys of this page and what they do. */
export function ShortcutHelp({ onClose }: { onClose: () => void }) {
  const [shortcuts] = useStored(SHORTCUTS);
  const groups = Map.groupBy(
    useAllActions().filter(({ keys }) => keys),
    ({ group }) => group,
  );
  return (
    <Modal opened onClose={onClose} title="Keyboard shortcuts">
      {shortcuts === "off" && <p>Single keys are switched off in the settings.</p>}
      {[...groups].map(([group, actions]) => (
        <section key={group} className={classes.group}>
          <h3>{group}</h3>
          <dl className={classes.list}>
            {actions.map(({ id, label, keys }) => (
              <div key={id} className={classes.row}>
                <dt>{label}</dt>
                <dd>{keys && <Kbd keys={keys} />}</dd>
              </div>
            ))}
          </dl>
        </section>
      ))}
    </Modal>
  );
}
