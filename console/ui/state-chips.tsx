import type { ReactNode } from "react";
import { type Mark, nameMark, StateIcon } from "./state.tsx";

interface StateChipsProps<State extends string> {
  states: readonly State[];
  /** The one that is chosen; undefined: all are shown. */
  chosen: State | undefined;
  onChoose: (state: State | undefined) => void;
}

/** States to choose one of, shown in their own way; choosing one again shows all. */
export function Chips<State extends string>(props: StateChipsProps<State> & { show: (state: State) => ReactNode }) {
  const { states, chosen, onChoose, show } = props;
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
          {show(state)}
        </button>
      ))}
    </fieldset>
  );
}

/** The states of jobs or tasks, to choose one of. */
export function StateChips<State extends Mark>(props: StateChipsProps<State>) {
  const show = (state: State) => (
    <>
      <StateIcon mark={state} /> {nameMark(state)}
    </>
  );
  return <Chips {...props} show={show} />;
}
