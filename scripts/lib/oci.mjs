/** Images as archives of an OCI layout (image-spec 1.1), which `ctr images import`, podman, skopeo and buildah take. */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { tarOf } from './tar.mjs';

const TYPES = {
  index: 'application/vnd.oci.image.index.v1+json',
  manifest: 'application/vnd.oci.image.manifest.v1+json',
  config: 'application/vnd.oci.image.config.v1+json',
  layer: 'application/vnd.oci.image.layer.v1.tar+gzip',
};

/**
 * An archive with one image. `layers`: entries of each, the lowest first, with who made it (`comment`). `config`: as the image specification has it. `name`: with its tag. The same input
 * gives the same archive. `digest`: of the manifest.
 */
export function imageArchive({ name, architecture, layers, config, labels }) {
  const blobs = new Map();
  const put = (content, mediaType) => {
    const digest = `sha256:${createHash('sha256').update(content).digest('hex')}`;
    blobs.set(digest, content);
    return { mediaType, digest, size: content.length };
  };
  const made = layers.map(({ entries, comment }) => {
    const tar = tarOf(entries);
    const diffId = `sha256:${createHash('sha256').update(tar).digest('hex')}`;
    return { diffId, comment, blob: put(gzipSync(tar, { level: 9 }), TYPES.layer) };
  });
  const created = '1970-01-01T00:00:00Z';
  const image = {
    ...{ created, architecture, os: 'linux' },
    config: { ...config, Labels: labels },
    rootfs: { type: 'layers', diff_ids: made.map(({ diffId }) => diffId) },
    history: made.map(({ comment }) => ({ created, created_by: comment })),
  };
  const manifest = put(
    json({
      ...{ schemaVersion: 2, mediaType: TYPES.manifest },
      config: put(json(image), TYPES.config),
      layers: made.map(({ blob }) => blob),
      annotations: labels,
    }),
    TYPES.manifest,
  );
  const tag = name.slice(name.lastIndexOf(':') + 1);
  const index = {
    ...{ schemaVersion: 2, mediaType: TYPES.index },
    manifests: [
      {
        ...manifest,
        platform: { architecture, os: 'linux' },
        // The second is what containerd names the image by.
        annotations: { 'org.opencontainers.image.ref.name': tag, 'io.containerd.image.name': name },
      },
    ],
  };
  const file = (path, content) => ({ path, mode: 0o644, content });
  const archive = tarOf([
    file('oci-layout', json({ imageLayoutVersion: '1.0.0' })),
    file('index.json', json(index)),
    ...[...blobs].map(([digest, content]) => file(`blobs/${digest.replace(':', '/')}`, content)),
  ]);
  return { archive, digest: manifest.digest };
}

function json(value) {
  return Buffer.from(JSON.stringify(value));
}
