// Loaded before anything is drawn, so that a page in the dark does not flash.
(() => {
  const ORDER = ['system', 'dark', 'light'];
  const root = document.documentElement;
  const known = () => {
    try {
      return ORDER.find((name) => name === localStorage.getItem('theme')) ?? 'system';
    } catch {
      return 'system';
    }
  };
  const show = (name) => {
    root.dataset.theme = name;
    root.classList.add('scripted');
  };
  show(known());
  document.addEventListener('click', (event) => {
    if (event.target.closest?.('[data-do="theme"]') === null) return;
    const name = ORDER[(ORDER.indexOf(root.dataset.theme) + 1) % ORDER.length];
    show(name);
    try {
      localStorage.setItem('theme', name);
    } catch {
      // Kept until the page is closed.
    }
    document.dispatchEvent(new Event('themed'));
  });
})();
