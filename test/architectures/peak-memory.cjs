// Loaded before a program: writes the most memory that it held, in bytes, on stderr, when it exits.
const { writeSync } = require('node:fs');
process.on('exit', () => writeSync(2, `peak ${1024 * process.resourceUsage().maxRSS}`));
