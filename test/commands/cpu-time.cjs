// Loaded before a program: writes the milliseconds of processor time that it took, on stderr, when it exits.
const { writeSync } = require('node:fs');
process.on('exit', () => {
  const { user, system } = process.cpuUsage();
  writeSync(2, `cpu ${(user + system) / 1000}`);
});
