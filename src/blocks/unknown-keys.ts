import type { ConfigKeys } from '../core/architecture.js';
import type { JsonObject } from '../core/json.js';
import { unknownKeys } from './config.js';
import { unknownRopeKeys } from './rope.js';

/** Keys of a config, those of its rope included, that an architecture neither reads nor knows to be harmless. */
export const unreadKeys = (config: JsonObject, keys: ConfigKeys): string[] =>
  [...unknownKeys(config, keys), ...unknownRopeKeys(config)].sort();
