# `make help` lists the targets. Most of them need nothing but Go and make;
# those that touch the kernel need root and say so.

# sudo often forgets where Go is.
export PATH := $(PATH):/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin
# A checkout that belongs to somebody else must still build.
export GOFLAGS := $(filter-out -buildvcs=%,$(GOFLAGS)) -buildvcs=false
export CGO_ENABLED := 0

GO       ?= go
VERSION  ?= $(shell git -c safe.directory='*' describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS  := -s -w -X main.version=$(VERSION)
# More than two at a time makes timing tests fight on small machines.
PARALLEL ?= 2
TESTFLAGS ?=
FUZZTIME ?= 5m

PREFIX  ?= /usr/local
DESTDIR ?=
BINDIR  := $(PREFIX)/bin

# Everything but the scripts that drive the real binaries.
PACKAGES = $$($(GO) list ./... | grep -vE '/e2e(/|$$)') ./e2e/hygiene

.DEFAULT_GOAL := build
.PHONY: help build install uninstall generate lint unit test e2e soak fuzz kernels demo bench-quick bench deps clean need-root

help: ## list the targets
	@awk -F':.*## ' '/^[a-z0-9-]+:.*## / {printf "  %-12s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

build: ## bin/vpc and bin/vpcd, static
	$(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

install: build ## binaries, systemd unit, man pages, completions under PREFIX (DESTDIR for packagers)
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(PREFIX)/lib/systemd/system $(DESTDIR)$(PREFIX)/lib/sysusers.d \
		$(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/bash-completion/completions \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	install -m 0755 bin/vpc bin/vpcd $(DESTDIR)$(BINDIR)/
	sed 's|/usr/local/bin|$(BINDIR)|' cmd/vpcd/vpcd.service >$(DESTDIR)$(PREFIX)/lib/systemd/system/vpcd.service
	install -m 0644 cmd/vpcd/vpcd.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/vpcd.conf
	bin/vpc gen man $(DESTDIR)$(PREFIX)/share/man/man1
	bin/vpc completion bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/vpc
	bin/vpc completion zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_vpc
	bin/vpc completion fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/vpc.fish

uninstall: ## what install wrote; state and data plane stay (see vpcd cleanup)
	rm -f $(DESTDIR)$(BINDIR)/vpc $(DESTDIR)$(BINDIR)/vpcd \
		$(DESTDIR)$(PREFIX)/lib/systemd/system/vpcd.service $(DESTDIR)$(PREFIX)/lib/sysusers.d/vpcd.conf \
		$(DESTDIR)$(PREFIX)/share/man/man1/vpc.1 $(DESTDIR)$(PREFIX)/share/man/man1/vpc-*.1 \
		$(DESTDIR)$(PREFIX)/share/bash-completion/completions/vpc \
		$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_vpc \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/vpc.fish

generate: ## Go from the API models and BPF objects from C (needs clang-14)
	$(GO) generate ./...

lint: ## gofmt, vet, staticcheck, the rules of the house, stale generated files
	@unformatted=$$(gofmt -l cmd vpcd dataplane bpf ipam e2e $$(ls -d gateways 2>/dev/null)); \
		test -z "$$unformatted" || { echo "not formatted, run gofmt -w:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./e2e/hygiene
	bash .ci/stale

unit: ## vet and the tests that need no root and little time (<= 60 s)
	$(GO) vet ./...
	$(GO) test -short -p $(PARALLEL) $(TESTFLAGS) $(PACKAGES)

test: need-root deps build lint ## all tests, as root: units, BPF programs, kernel, end to end
	$(GO) test -count=1 -p $(PARALLEL) -timeout 15m $(TESTFLAGS) $(PACKAGES)
	$(MAKE) --no-print-directory e2e

e2e: need-root build ## the scripts that drive the real binaries, as root
	$(GO) test -count=1 -p 1 -timeout 45m $(TESTFLAGS) ./e2e/...

soak: need-root build ## the same scripts with the counts and times that are promised, as root
	VPC_SOAK=1 $(GO) test -count=1 -p 1 -timeout 8h $(TESTFLAGS) ./e2e/... ./bpf/fuzz

# Each run begins where the last one ended: Go keeps what it found in its cache.
fuzz: ## look for inputs that the BPF programs judge wrongly, FUZZTIME (5m) for each kind; no root
	for f in FuzzFrame FuzzRules FuzzNoise; do \
		$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 100x $(TESTFLAGS) ./bpf/fuzz || exit 1; done

kernels: build ## boot Linux 6.1 and 6.12 in QEMU and run the tests of the BPF programs there
	VPC_KERNELS=1 $(GO) test -count=1 -timeout 60m -v $(TESTFLAGS) ./e2e/kernels

demo: need-root build ## show the main job on real traffic, then remove everything
	$(GO) run ./e2e/demo

bench-quick: need-root build ## the figures that matter, side by side with what they are compared to
	$(GO) run ./e2e/bench -quick

bench: need-root build ## the same, longer
	$(GO) run ./e2e/bench

deps: ## install what tests need from Debian or Ubuntu packages
	@bash .ci/deps

clean: ## build output; the kernel's side is vpcd cleanup's
	rm -rf bin

need-root:
	@test "$$(id -u)" = 0 || { echo "this target works in the kernel: run it with sudo" >&2; exit 1; }
