import { type Mark, nameMark, StateIcon } from "./state.tsx";

interface StateChipsProps<State extends Mark> {
  states: readonly State[];
  /** The one that is chosen; undefined: all are shown. */
  chosen: State | undefined;
  onChoose: (state: State | undefined) => void;
}

/** States to choose one of; choosing it again shows all. */
export function StateChips<State extends Mark>({ states, chosen, onChoose }: StateChipsProps<State>) {
  return (
    <fieldset className="chips">
      <legend className="hidden">State</legend>
      {states.map((state) => (
        <button
          key={state}
          type="button"
          className="chip"
          aria-pressed={chosen === state}
          onClick={() => onChoose(chosen === state ? undefined : state)}
        >
          <StateIcon mark={state} /> {nameMark(state)}
        </button>
      ))}
    </fieldset>
  );
}
