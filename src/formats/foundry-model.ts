/**
 * inference_model.json, by which Foundry Local knows a folder of its cache beside genai_config.json (microsoft/Foundry-Local
 * 6fb4d06, sdk_v2/cpp/src/catalog/local_model_scanner.cc).
 */
export const foundryModel = (name: string): string =>
  `${JSON.stringify({ Name: name, PromptTemplate: null }, null, 2)}\n`;
