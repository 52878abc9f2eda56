/**
 * Whether a name matches a glob in which `*` stands for any run of characters, dots included, and `?` for one. Takes at
 * most their lengths multiplied, whatever the stars: after one that fits, those before it need not be tried again.
 */
export function matchesGlob(name: string, glob: string): boolean {
  let [at, place] = [0, 0];
  let [star, tried] = [-1, 0];
  while (at < name.length) {
    if (glob[place] === '*') {
      star = place++;
      tried = at;
    } else if (place < glob.length && (glob[place] === '?' || glob[place] === name[at])) {
      place++;
      at++;
    } else if (star >= 0) {
      place = star + 1;
      at = ++tried;
    } else {
      return false;
    }
  }
  while (glob[place] === '*') place++;
  return place === glob.length;
}
