# trinity-agent-base, the image of agents: Claude Code, Gemini CLI, git, the agent server. Built by:
#
#   make agent-image
FROM node:22-bookworm-slim

ARG CLAUDE_VERSION
ARG GEMINI_VERSION

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        bash ca-certificates curl git jq openssh-client procps python3 ripgrep sudo unzip \
    && rm -rf /var/lib/apt/lists/*

RUN npm install --global --no-fund --no-audit --loglevel=error \
        "@anthropic-ai/claude-code@${CLAUDE_VERSION}" "@google/gemini-cli@${GEMINI_VERSION}" \
    && npm cache clean --force

# The user of every run. Where an agent has full capabilities sudo makes it root; elsewhere it cannot.
RUN groupadd --gid 10001 agent \
    && useradd --uid 10001 --gid 10001 --home-dir /workspace --no-create-home --shell /bin/bash agent \
    && install -d -o 10001 -g 10001 /workspace \
    && echo 'agent ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/agent \
    && chmod 0440 /etc/sudoers.d/agent

COPY --chmod=0755 trinity-agent /usr/local/bin/trinity-agent

USER 10001:10001
WORKDIR /workspace
