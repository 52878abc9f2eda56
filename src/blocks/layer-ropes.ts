import { ConfigReader, refuse } from './config.js';
import { type RopeParameters, standardRope } from './rope.js';

/** Ropes of a family that has one for each kind of layer. */
export interface LayerRopes {
  rope: RopeParameters;
  /** Rope of the layers with a window. */
  local_rope: RopeParameters;
}

/** How a family reads its two ropes. */
export interface LayerRopeRules {
  maxPositions: number;
  /** rope_theta of the layers without a window where the config has none. */
  defaultTheta: number;
  /** The same for layers with a window, and the key beside the ropes that holds it. */
  localTheta: { default: number; key?: string };
}

/**
 * The ropes of layers without and with a window: their entries of `rope_parameters` (transformers 5), or `rope_theta` and
 * the key for windows, where the family has one. `rope_scaling` is put over the first one's entry; a length beside the ropes is not read.
 */
export function layerRopes(reader: ConfigReader, rules: LayerRopeRules): LayerRopes {
  const { maxPositions, defaultTheta, localTheta } = rules;
  const { original_max_position_embeddings: _, ...config } = reader.config;
  const { full_attention = null, sliding_attention = null, ...flat } = reader.object('rope_parameters') ?? {};
  const scaling = reader.object('rope_scaling');
  const entries = new ConfigReader({ full_attention, sliding_attention });
  const [full, local] = [entries.object('full_attention'), entries.object('sliding_attention')];
  if (scaling && reader.has('rope_parameters') && !full) {
    refuse('rope_parameters', reader.config.rope_parameters, 'an entry "full_attention", which "rope_scaling" changes');
  }
  // an entry that is not there has the rope_type "default", which a "type" in rope_scaling does not change
  const settings = { ...(full ?? { rope_type: 'default' }), ...scaling };
  const beside = new ConfigReader(config, reader.note);
  const rope = standardRope(beside, settings, { maxPositions, defaultTheta });
  const { rope_theta: __, ...rest } = config;
  const base = localTheta.key === undefined ? undefined : config[localTheta.key];
  const ofWindows = new ConfigReader(base === undefined ? rest : { ...rest, rope_theta: base }, reader.note);
  const local_rope = standardRope(ofWindows, { ...local }, { maxPositions, defaultTheta: localTheta.default });
  if (Object.keys(flat).some((key) => key !== 'truncate')) {
    reader.note(
      'config.json: "rope_parameters" has settings beside its entries for each kind of layer: they are passed over, as ' +
        `transformers does for this family; rope_theta is ${rope.rope_theta}, and ${local_rope.rope_theta} with a window.`,
    );
  }
  if (full && scaling && Object.keys(scaling).some((key) => key in full && full[key] !== scaling[key])) {
    reader.note(
      'config.json: "rope_scaling" is put over the entry "full_attention" of "rope_parameters", as transformers does; ' +
        `rope_theta is ${rope.rope_theta}.`,
    );
  }
  // transformers looks for it beside the entries
  const truncate = flat.truncate === undefined || Boolean(flat.truncate);
  return { rope: { ...rope, truncate }, local_rope: { ...local_rope, truncate } };
}
