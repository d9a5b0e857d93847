// @peculiar/x509 finds its algorithms through tsyringe, which refuses to load without three functions of the Reflect
// metadata proposal. It annotates a dozen classes of its own at load time and nothing else, so these lines are enough.
// Must be imported before @peculiar/x509.
const annotations = new WeakMap<object, Map<unknown, unknown>>();

function defineMetadata(key: unknown, value: unknown, target: object): void {
  const own = annotations.get(target) ?? new Map<unknown, unknown>();
  annotations.set(target, own.set(key, value));
}

function getOwnMetadata(key: unknown, target: object): unknown {
  return annotations.get(target)?.get(key);
}

function getMetadata(key: unknown, target: object): unknown {
  for (let at: object | null = target; at !== null; at = Reflect.getPrototypeOf(at)) {
    const own = annotations.get(at);
    if (own?.has(key) === true) return own.get(key);
  }
  return undefined;
}

// A complete polyfill that somebody loaded before stays.
if (!('getMetadata' in Reflect)) Object.assign(Reflect, { defineMetadata, getMetadata, getOwnMetadata });
