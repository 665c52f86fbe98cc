# Every target is a few plain commands; `make help` lists them.
.DEFAULT_GOAL := help
.PHONY: help deps deps-test build demo tests-built test check bench predictions crash-trials failures \
  soak neon format lint fixtures clean coverage fuzz fuzz-node
.SILENT:

SWIFT ?= swift
BIN := .build/release
DEMO := .build/demo
DEB := pkg-config libzstd-dev libssl-dev libopenmpi-dev openmpi-bin
BREW := pkgconf zstd openssl@3 open-mpi
# MPI where the system has it, looked up when a target runs.
TRAITS = $(shell pkg-config --exists ompi-c 2>/dev/null && echo --traits MPI)
BUILD = $(SWIFT) build -c release $(TRAITS)
TEST = $(SWIFT) test -c release $(TRAITS) --skip-build
PEERS := openssh-server openssh-client docker-registry skopeo tcpdump openssl iproute2
COVERED := Checkpoints ShardPackaging ShardPlanning
CODE := Package.swift Sources Tests

help: ## list the targets
	awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

deps: ## install the libraries that are missing (apt; on macOS it prints the brew line)
	set -eu; missing=; \
	if [ "$$(uname)" = Darwin ]; then \
	  for name in $(BREW); do brew list --versions $$name >/dev/null 2>&1 || missing="$$missing $$name"; done; \
	  [ -z "$$missing" ] || { echo "run this first: brew install$$missing"; exit 1; }; \
	elif command -v dpkg-query >/dev/null; then \
	  for name in $(DEB); do \
	    dpkg-query -W -f '$${Status}' $$name 2>/dev/null | grep -q 'ok installed' || missing="$$missing $$name"; \
	  done; \
	  if [ -n "$$missing" ]; then \
	    echo "installing$$missing"; \
	    as_root=; [ "$$(id -u)" -eq 0 ] || as_root=sudo; $$as_root apt-get update -qq; \
	    $$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing >/dev/null; \
	  fi; \
	elif ! pkg-config --exists libzstd libcrypto; then \
	  echo "install pkg-config and the development files of zstd, OpenSSL 3 and Open MPI"; exit 1; \
	fi

deps-test: ## install what tests run beside our programs: an SSH server, a registry, skopeo, tcpdump
	$(MAKE) deps DEB="$(DEB) $(PEERS)"

build: deps ## build shardtool and shardrun into .build/release
	$(BUILD)

demo: build ## take fixtures/tiny-fable the whole way and let three processes tell a fable
	rm -rf $(DEMO) && mkdir -p $(DEMO)
	set -eu; export SHARD_TRUST=; \
	show() { \
	  line='$$'; \
	  for word in "$$@"; do case "$$word" in *" "*) word="\"$$word\"";; esac; line="$$line $$word"; done; \
	  printf '\n%s\n' "$$line"; "$(BIN)/$$@"; \
	}; \
	show shardtool quantize fixtures/tiny-fable --output $(DEMO)/quantized; \
	show shardtool plan $(DEMO)/quantized --nodes 3 --ram 8G --output $(DEMO)/plan.json; \
	show shardtool pack $(DEMO)/quantized --plan $(DEMO)/plan.json --output $(DEMO)/bundles; \
	show shardtool verify $(DEMO)/bundles; \
	show shardrun generate $(DEMO)/bundles --local --max-tokens 120 \
	  --prompt "Once upon a time there was a"

tests-built: deps ## build the programs and all tests
	$(BUILD) --build-tests

test: tests-built ## build everything and run all tests
	$(TEST)

check: lint test ## what a change has to pass

bench: build ## measure kernels, worker pool, loading and generation on this machine
	[ -d $(DEMO)/bundles ] || $(MAKE) demo
	$(BIN)/shardtool plan $(DEMO)/quantized --nodes 1 --ram 8G --quiet --output $(DEMO)/one.json >/dev/null
	$(BIN)/shardtool pack $(DEMO)/quantized --plan $(DEMO)/one.json --quiet --output $(DEMO)/bundle-of-one >/dev/null
	set -eu; \
	show() { printf '\n$$ %s\n' "$$*"; "$(BIN)/$$@"; }; \
	show shardbench kernels --shape 4096x4096 --tokens 1,128 --repetitions 5 --quiet; \
	show shardbench pool; \
	show shardbench load $(DEMO)/bundle-of-one; \
	show shardbench generate $(DEMO)/bundle-of-one; \
	show shardbench generate $(DEMO)/bundle-of-one --positions 16,480; \
	show shardrun bench $(DEMO)/bundles --local

predictions: tests-built ## measure how well plans predict: minutes, on a machine that does nothing else
	SHARD_MEASURE=1 $(TEST) --filter Predictions

crash-trials: deps-test tests-built ## 20 kills and 20 full disks each for pack, ship and gc; broken connections
	SHARD_TRIALS=20 $(TEST) --filter 'CrashTrials|BrokenShips'

failures: tests-built ## nodes and links that fail in all ways at all moments, then 100 random kills
	SHARD_FAILURES=1 SHARD_KILLS=100 $(TEST) --filter 'FailureTable|KillTrials'

soak: tests-built ## random requests, cancels and reconnects: make soak MINUTES=30
	SHARD_SOAK=$(or $(MINUTES),30) $(TEST) --filter Soak

fuzz: deps ## feed hostile bytes to the readers: make fuzz TARGET=manifest MINUTES=10
	SHARD_FUZZ=1 $(BUILD) --product shardfuzz --scratch-path .build/fuzz \
	  --sanitize fuzzer -Xswiftc -sanitize=fuzzer,address
	Tests/Fuzz/fuzz.sh $(or $(MINUTES),1) $(TARGET)

fuzz-node: deps-test tests-built ## say all kinds of wrong to a running node: make fuzz-node MINUTES=10
	SHARD_FUZZ_MINUTES=$(or $(MINUTES),1) $(TEST) --filter NodeFuzz

neon: ## compare the NEON kernels with the reference in an emulator of AArch64 (on x86-64 Debian)
	command -v qemu-aarch64-static aarch64-linux-gnu-gcc >/dev/null || \
	  { echo "install qemu-user-static and gcc-aarch64-linux-gnu"; exit 1; }
	"$$(dirname "$$(readlink -f "$$(command -v $(SWIFT))")")/clang" --target=aarch64-linux-gnu -O2 \
	  -static -fuse-ld=lld -I Sources/CKernels/include -isystem /usr/aarch64-linux-gnu/include \
	  Tests/KernelCheck/check.c $$(find Sources/CKernels -name '*.c') -o .build/kernel-check -lpthread -lm
	qemu-aarch64-static .build/kernel-check 3

format: ## rewrite the sources in the house's layout
	$(SWIFT) format format --in-place --recursive --parallel $(CODE)

lint: ## check the layout without changing anything
	$(SWIFT) format lint --strict --recursive --parallel $(CODE)

fixtures: ## check the fixtures' digests
	cd fixtures && if command -v sha256sum >/dev/null; then sha256sum --check --quiet SHA256SUMS; else shasum -a 256 --check --quiet SHA256SUMS; fi

coverage: deps ## line coverage of the modules that read what comes from outside: at least 90 %
	rm -rf .build/coverage/profiles && mkdir -p .build/coverage/profiles
	$(BUILD) --build-tests --enable-code-coverage --scratch-path .build/coverage
	LLVM_PROFILE_FILE="$(CURDIR)/.build/coverage/profiles/%m.profraw" \
	  $(TEST) --scratch-path .build/coverage
	SWIFT="$(SWIFT)" sh Tests/coverage-report $(COVERED)

clean: ## remove everything that was built
	$(SWIFT) package clean && rm -rf $(DEMO) .build/coverage
