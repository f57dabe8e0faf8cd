# The program in all its roles: server (default), migration (dist/tools/migrate.js), generator (dist/generator/main.js).
#
# No package has native code, so what is built is the same on every architecture. It is built on the builder's own:
#   docker buildx build --platform linux/amd64,linux/arm64 .

FROM --platform=$BUILDPLATFORM node:24-bookworm-slim AS base
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
COPY src/client/package.json src/client/

FROM base AS build
RUN --mount=type=cache,target=/root/.npm npm ci
COPY tsconfig.json ./
COPY src src
RUN npm run build

FROM base AS dependencies
# React is the client package's, for front ends; types and source maps are for those who write programs.
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --omit=optional \
 && find node_modules -type f \( -name '*.map' -o -name '*.ts' -o -name '*.mts' -o -name '*.cts' \) -delete
# What is in the image, for whoever has to know.
RUN npm sbom --omit=dev --omit=optional --package-lock-only --sbom-format=spdx > sbom.spdx.json

FROM node:24-bookworm-slim
LABEL org.opencontainers.image.title="chaptercast" \
      org.opencontainers.image.description="Tells every browser in a chapter's room, live, while an AI elsewhere writes the chapter" \
      org.opencontainers.image.licenses="MIT"
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY --from=build /app/src/client/dist src/client/dist
COPY --from=dependencies /app/sbom.spdx.json ./
COPY package.json LICENSE ./
COPY drizzle drizzle
COPY src/web src/web
COPY src/contract/asyncapi.json src/contract/
# What the compose file mounts over: a volume takes this owner when it is made.
RUN install -d -o node -g node /secrets
USER node
EXPOSE 8000
CMD ["node", "dist/server.js"]
