// Numbers of ggml's blocks, as callers name them.

export const Q4_0: i32 = 0;
export const Q4_1: i32 = 1;
export const Q5_0: i32 = 2;
export const Q5_1: i32 = 3;
export const Q8_0: i32 = 4;
export const Q4_K: i32 = 5;
export const Q5_K: i32 = 6;
export const Q6_K: i32 = 7;
