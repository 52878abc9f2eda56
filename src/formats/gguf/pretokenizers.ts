import { own } from '../../core/own.js';
/**
 * What llama.cpp's converter encodes to tell pre-tokenizers apart: `tokenizer.ggml.pre` follows from the SHA-256 of the
 * ids (conversion/base.py, get_vocab_base_pre).
 */
export const PROBE =
  "\n \n\n \n\n\n \t \t\t \t\n  \n   \n    \n     \n\ud83d\ude80 (normal) \ud83d\ude36\u200d\ud83c\udf2b\ufe0f (multiple emojis concatenated) \u2705 \ud83e\udd99\ud83e\udd99 3 33 333 3333 33333 333333 3333333 33333333 3.3 3..3 3...3 \u1780\u17b6\u1793\u17cb\u178f\u17c2\u1796\u17b7\u179f\u17c1\u179f\u17a2\u17b6\u1785\ud83d\ude01 ?\u6211\u60f3\u5728apple\u5de5\u4f5c1314151\u5929\uff5e ------======= \u043d\u0435\u0449\u043e \u043d\u0430 \u0411\u044a\u043b\u0433\u0430\u0440\u0441\u043a\u0438 ''''''```````\"\"\"\"......!!!!!!?????? I've been 'told he's there, 'RE you sure? 'M not sure I'll make it, 'D you like some tea? We'Ve a'lL";

/** `tokenizer.ggml.pre` by the SHA-256 of the probe's ids, written as Python writes a list. */
export const BY_PROBE: Record<string, string> = own({
  b6e8e1518dc4305be2fe39c313ed643381c4da5db34a98f6a04c093f8afbe99b: 'chatglm-bpe',
  '81d72c7348a9f0ebe86f23298d37debe0a5e71149e29bd283904c02262b27516': 'chatglm-bpe',
  a1336059768a55c99a734006ffb02203cd450fed003e9a71886c88acf24fdbc2: 'glm4',
  '9ca2dd618e8afaf09731a7cf6e2105b373ba6a1821559f258b272fe83e6eb902': 'glm4',
  cdf5f35325780597efd76153d4d1c16778f766173908894c04afc20108536267: 'glm4',
  '1431a23e583c97432bc230bff598d103ddb5a1f89960c8f1d1051aaa944d0b35': 'minerva-7b',
  '7e57df22b1fe23a7b1e1c7f3dc4e3f96d43a4eb0836d0c6bdc3436d7b2f1c664': 'hunyuan',
  bba3b3366b646dbdded5dbc42d59598b849371afc42f7beafa914afaa5b70aa6: 'hunyuan-dense',
  a6b57017d60e6edb4d88ecc2845188e0eb333a70357e45dcc9b53964a73bbae6: 'falcon-h1',
  '60476e1243776c4fb1b993dbd7a5f15ac22f83c80afdf425fa5ae01c8d44ef86': 'falcon-h1',
  '3eda48b4c4dc7de733d1a8b3e3b4a85243dbbf704da2ee9d42c6beced8897896': 'falcon-h1',
  '48f8e02c0359c0bbdd82f26909171fac1c18a457bb47573ed1fe3bbb2c1cfd4b': 'falcon-h1',
  '81212dc7cdb7e0c1074ca62c5aeab0d43c9f52b8a737be7b12a777c953027890': 'kimi-k2',
  d4540891389ea895b53b399da6ac824becc30f2fba0e9ddbb98f92e55ca0e97c: 'qwen2',
  '1444df51289cfa8063b96f0e62b1125440111bc79a52003ea14b6eac7016fd5f': 'qwen35',
  '0fe1cf6eda062318a1af7270f3331a85c539a01778ff948e24388e949c5282f4': 'gpt-2',
  '9e454714343b69b99b71795c1d27a68c2a1d15dab111f4d353109f966af29da7': 'lfm2',
  '0ef9807a4087ebef797fc749390439009c3b9eda9ad1a097abbe738f486c01e5': 'llama-bpe',
  '049ecf7629871e3041641907f3de7c733e4dbfdc736f57d882ba0b0845599754': 'deepseek-llm',
  '347715f544604f9118bb75ed199f68779f423cabb20db6de6f31b908d04d7821': 'deepseek-coder',
  '8aeee3860c56296a157a1fe2fad249ec40aa59b1bb5709f4ade11c4e6fe652ed': 'falcon',
  '9d032fcbd5501f4a38150912590928bfb36091efb5df11b8e2124b0390e3fb1e': 'falcon3',
  b6dc8df998e1cfbdc4eac8243701a65afe638679230920b50d6f17d81c098166: 'mpt',
  '35d91631860c815f952d711435f48d356ebac988362536bed955d43bfa436e34': 'starcoder',
  '3ce83efda5659b07b1ad37ca97ca5797ea4285d9b9ab0dc679e4a720c9da7454': 'gpt-2',
  '32d85c31273f8019248f2559fed492d929ea28b17e51d81d3bb36fff23ca72b3': 'stablelm2',
  '6221ad2852e85ce96f791f476e0b390cf9b474c9e3d1362f53a24a06dc8220ff': 'refact',
  '9c2227e4dd922002fb81bde4fc02b0483ca4f12911410dee2255e4987644e3f8': 'command-r',
  e636dc30a262dcc0d8c323492e32ae2b70728f4df7dfe9737d9f920a282b8aea: 'qwen2',
  a8594e3edff7c29c003940395316294b2c623e09894deebbc65f33f1515df79e: 'dbrx',
  c136ed14d01c2745d4f60a9596ae66800e2b61fa45643e72436041855ad4089d: 'smaug-bpe',
  c7ea5862a53e4272c035c8238367063e2b270d51faa48c0f09e9d5b54746c360: 'poro-chat',
  '7fc505bd3104ca1083b150b17d088b59534ede9bde81f0dd2090967d7fe52cee': 'viking',
  '63b97e4253352e6f357cc59ea5b583e3a680eaeaf2632188c2b952de2588485e': 'tekken',
  '855059429035d75a914d1eda9f10a876752e281a054a7a3d421ef0533e5b6249': 'smollm',
  '4e2b24cc4770243d65a2c9ec19770a72f08cffc161adbb73fcbb6b7dd45a0aae': 'exaone',
  fcace8b9cac38ce847670c970cd5892031a753a1ef381abd1d9af00f713da085: 'phi-2',
  ad851be1dba641f2e3711822f816db2c265f788b37c63b4e1aeacb9ee92de8eb: 'gigachat',
  d4c8f286ea6b520b3d495c4455483cfa2302c0cfcd4be05d781b6a8a0a7cdaf1: 'megrez',
  '877081d19cf6996e2c4ff0e1236341e9b7bde288f5311a56a937f0afbbb3aeb5': 'deepseek-v3',
  b3f499bb4255f8ca19fccd664443283318f2fd2414d5e0b040fbdd0cc195d6c5: 'deepseek-r1-qwen',
  ccc2ef013c104be7bae2965776d611e1d7a8a2a9c547dd93a682c9a9fc80352e: 'gpt-4o',
  '7dec86086fcc38b66b7bc1575a160ae21cf705be7718b9d5598190d7c12db76f': 'superbpe',
  '1994ffd01900cfb37395608534236ecd63f2bd5995d6cb1004dda1af50240f15': 'trillion',
  '96a5f08be6259352137b512d4157e333e21df7edd3fcd152990608735a65b224': 'bailingmoe',
  d353350c764d8c3b39c763113960e4fb4919bea5fbf208a0e3b22e8469dc7406: 'llama4',
  '0e9433cbbb161f89e264eb32e8e64bfe69e834973ffca5d41d3948a604a3e2a3': 'pixtral',
  d5f1dd6f980fec569fb218a81a7658ac45fc56b38c5a0adeb1c232fbe04ef5ec: 'seed-coder',
  b0a6b1c0bd5998ebd9df08611efde34a4ff03faed45ae09c43e6b31ebd4b94cf: 'a.x-4.0',
  f6791d196f87ce6b56a7d234be618e0d58f8cda3549416635b2bebcd22cd95c4: 'midm-2.0',
  '169bf0296a13c4d9b7672313f749eb36501d931022de052aad6e36f2bf34dd51': 'lfm2',
  '2085e1638f6c377a0aa4ead21b27bb4cb941bf800df86ed391011769c1758dfb': 'exaone4',
  a1e163ecab2e718a4c829d1148b6e86824ec36163bb71941c3dca9cd5ac25756: 'mellum',
  '53e325976a6e142379c19b09afcae354f2f496f147afa8f9e189a33fe4e3024e': 'granite-docling',
  f4f37b6c8eb9ea29b3eac6bb8c8487c5ab7885f8d8022e67edc1c68ce8403e95: 'minimax-m2',
  '4a2e2abae11ca2b86d570fc5b44be4d5eb5e72cc8f22dd136a94b37da83ab665': 'kormo',
  '9d70134b369a70e5735009b6de918f7581b5211f7c074d1f89f753aea8248af1': 'youtu',
  '16389f0a1f51ee53e562ffd51c371dc508639ab0e4261502071836e50e223e91': 'solar-open',
  d30d75d9059f1aa2c19359de71047b3ae408c70875e8a3ccf8c5fba56c9d8af4: 'qwen35',
  b4b8ca1f9769494fbd956ebc4c249de6131fb277a4a3345a7a92c7dd7a55808d: 'joyai-llm',
});

const CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const REST = '| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

/** `tokenizer.ggml.pre` by the expression that splits text in tokenizer.json, for vocabularies that nobody has listed. */
export const BY_EXPRESSION: Record<string, string> = own({
  [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}${REST}`]: 'qwen2',
  [`${CONTRACTIONS}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}${REST}`]: 'llama-bpe',
});
