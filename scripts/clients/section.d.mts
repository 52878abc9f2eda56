export function writeSection(file: string, heading: string, text: string): void;
