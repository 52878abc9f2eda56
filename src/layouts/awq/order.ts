/** Which of eight outputs each nibble of a word holds, the lowest first (AWQ_ORDER of AutoAWQ's packing_utils.py). */
export const AWQ_ORDER = [0, 2, 4, 6, 1, 3, 5, 7];
