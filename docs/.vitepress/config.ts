import { defineConfig } from 'vitepress';

/** The anchors of GitHub, so that one link works there and on the site. */
function slugify(heading: string): string {
  return heading
    .trim()
    .toLowerCase()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');
}

export default defineConfig({
  title: 'Keystead',
  description: 'A drop-in replacement for etcd 3.7 under Kubernetes',
  outDir: '../dist/docs',
  markdown: { anchor: { slugify } },
  themeConfig: {
    search: { provider: 'local' },
    nav: [
      { text: 'Install', link: '/install' },
      { text: 'Operate', link: '/operations' },
      { text: 'Compatibility', link: '/compatibility' },
    ],
    sidebar: [
      {
        text: 'Start',
        items: [
          { text: 'Quick start', link: '/quick-start' },
          { text: 'Comparison', link: '/comparison' },
          { text: 'Benchmarks', link: '/benchmarks' },
        ],
      },
      {
        text: 'Install',
        items: [
          { text: 'Image and kubeadm', link: '/install' },
          { text: 'Helm', link: '/install-helm' },
          { text: 'Manifests, kind and Compose', link: '/install-kubernetes' },
        ],
      },
      {
        text: 'Operate',
        items: [
          { text: 'Operations', link: '/operations' },
          { text: 'Status page', link: '/status-page' },
          { text: 'Migrate from etcd and back', link: '/operations#migrate-from-etcd-and-back' },
          { text: 'Upgrades', link: '/upgrades' },
          { text: 'Tuning', link: '/tuning' },
          { text: 'Scale', link: '/scale' },
          { text: 'Troubleshooting', link: '/troubleshooting' },
          { text: 'Compatibility', link: '/compatibility' },
          { text: 'Metrics', link: '/metrics' },
          { text: 'Security', link: '/threat-model' },
        ],
      },
      {
        text: 'How it works',
        items: [
          { text: 'Architecture', link: '/architecture' },
          { text: 'Serving threads', link: '/threads' },
          { text: 'Data on disk', link: '/data-on-disk' },
          { text: 'Reliability', link: '/reliability' },
          { text: 'Testing', link: '/testing' },
          { text: 'Code of our own', link: '/own-code' },
        ],
      },
    ],
    outline: [2, 3],
  },
});
