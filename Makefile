# c4d. Plain GNU make: `make` builds build/c4d; the README lists the other targets.
VERSION  := 0.1.0
VARIANT  ?= release
PREFIX   ?= /usr
DESTDIR  ?=
CC       ?= gcc
PKGS     := libevent_core libevent_extra libcares jansson lmdb yaml-0.1 libpcre2-8 nettle
CFLAGS   ?= -O2 -g
WARN     := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wformat=2 -Wvla \
            -Wpointer-arith -Wwrite-strings -Wundef -Wno-unused-parameter
ifeq ($(WERROR),1)
WARN     += -Werror
endif
ifeq ($(VARIANT),asan)
SAN      := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -O1
endif
ifeq ($(VARIANT),fuzz)
CC       := clang
SAN      := -fsanitize=address,undefined,fuzzer-no-link -fno-omit-frame-pointer -O1
endif
ifeq ($(VARIANT),coverage)
SAN      := --coverage -fprofile-update=atomic -O0
COVER     = $(B)/gcov_dump.o
COVER_LD := -Wl,--wrap=_exit,--wrap=abort,--wrap=execvpe
endif
B        := build/$(VARIANT)
# These goals install what they need before they build by another make; all others need it now.
BY_SCRIPT := check it lint demo bench soak chaos fuzz coverage deps deb deb-test clean
ifneq ($(filter-out $(BY_SCRIPT),$(or $(MAKECMDGOALS),all)),)
ifeq ($(shell pkg-config --exists $(PKGS) 2>/dev/null && echo found),)
$(error pkg-config does not find all of: $(PKGS); 'make deps' installs them)
endif
PKG_CFLAGS := $(shell pkg-config --cflags $(PKGS))
PKG_LIBS   := $(shell pkg-config --libs $(PKGS))
endif
ALL_CPPFLAGS := -D_GNU_SOURCE -DC4D_VERSION='"$(VERSION)"' -Iinclude -Isrc $(CPPFLAGS)
ALL_CFLAGS   := -std=gnu11 $(WARN) -pthread $(PKG_CFLAGS) $(CFLAGS) $(SAN)
# libm only where the compiler does not do floor() and its like itself.
ALL_LIBS     := -pthread $(PKG_LIBS) -Wl,--as-needed -lm $(COVER_LD)
# c4d loads these when https is configured (consul/tls.c); the test's server is linked with them.
TLS_LIBS := -lssl -lcrypto
Q        := $(if $(V),,@)

SRC      := $(sort $(wildcard src/*.c src/*/*.c))
OBJ      := $(SRC:src/%.c=$(B)/%.o) $(COVER)
LIBOBJ   := $(filter-out $(B)/main.o,$(OBJ))
UNIT     := $(sort $(wildcard tests/unit/test_*.c))
UNITBIN  := $(UNIT:tests/unit/%.c=$(B)/unit/%)
FUZZ     := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZBIN  := $(FUZZ:tests/fuzz/%.c=$(B)/fuzz/%)
# The simulation links the deciding floors against fakes of what they stand on (tests/sim/README).
SIMOUT   := $(addprefix $(B)/,base/file.o base/log.o base/loop.o base/worker.o consul/http.o consul/link.o consul/tls.o \
            discovery/resolver.o kamailio/kam.o kamailio/kam_ident.o rtpengine/ng.o)
SIMIN    := base config consul discovery kamailio reconcile routing rtpengine store topology
SIMOBJ   := $(filter-out $(SIMOUT),$(filter $(SIMIN:%=$(B)/%/%),$(OBJ))) $(COVER)
SIMSRC   := $(sort $(wildcard tests/sim/*.c))
# Manuals and completions, made from what c4d says of itself.
DOCS     := $(if $(filter build/%,$(B)),build,$(B))
MAN      := $(patsubst packaging/man/%.in,$(DOCS)/man/%,$(wildcard packaging/man/*.in))
MAN_TABLE = $(if $(filter %.yml.5,$@),keys,commands)
COMPLETE := $(addprefix $(DOCS)/completions/,bash/c4ctl bash/c4d zsh/_c4ctl fish/c4ctl.fish fish/c4d.fish)

# Another B is somebody's own: build/ stays as it is.
all: $(if $(filter build/%,$(B)),build/c4d build/c4ctl,$(B)/c4d)

build/c4d: $(B)/c4d
	$(Q)cp -f $< $@
build/c4ctl: build/c4d
	$(Q)ln -sf c4d $@
$(B)/c4d: $(OBJ)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS) -o $@ $^ $(ALL_LIBS)
$(B)/%.o: src/%.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<
$(B)/gcov_dump.o: tests/tools/gcov_dump.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(WARN) -c -o $@ $<
# The status page is a part of it.
$(B)/http/page_file.o: src/http/page.html
$(B)/unit/%: tests/unit/%.c $(LIBOBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) -Itests/unit $(ALL_CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(LIBOBJ) $(ALL_LIBS) -lcmocka $(TLS_LIBS)
# What fails by order (tests/unit/fault.h): the functions of fault.c's table, called by our objects.
WRAPS    := $(shell sed -nE 's/^X?(WRAP|ALLOC).([a-z0-9_]+),.*/-Wl,--wrap=\2/p' tests/unit/fault.c)
$(B)/unit/fault.o: tests/unit/fault.c tests/unit/fault.h
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) -Itests/unit $(ALL_CFLAGS) -c -o $@ $<
$(B)/unit/test_%_faults: tests/unit/test_%_faults.c $(B)/unit/fault.o $(LIBOBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) -Itests/unit $(ALL_CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(B)/unit/fault.o $(LIBOBJ) $(WRAPS) $(ALL_LIBS) \
	    -lcmocka $(TLS_LIBS)
# Fuzz targets: with libFuzzer in VARIANT=fuzz, else as a program that replays the files it is given.
$(B)/fuzz/%: tests/fuzz/%.c tests/fuzz/replay.c $(LIBOBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< \
	    $(if $(filter fuzz,$(VARIANT)),-fsanitize=fuzzer,tests/fuzz/replay.c) $(LIBOBJ) $(ALL_LIBS)
$(B)/bench/%: tests/bench/%.c $(LIBOBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP $(LDFLAGS) -o $@ $< $(LIBOBJ) $(ALL_LIBS)
$(B)/sim/sim: $(SIMSRC) $(wildcard tests/sim/*.h include/*/*.h) $(SIMOBJ)
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CPPFLAGS) -Itests/sim $(ALL_CFLAGS) $(LDFLAGS) -o $@ $(SIMSRC) $(SIMOBJ) $(ALL_LIBS)
-include $(OBJ:.o=.d) $(UNITBIN:=.d) $(FUZZBIN:=.d)

man: $(MAN)
$(DOCS)/man/%: packaging/man/%.in packaging/man/tables.awk $(B)/c4d
	@mkdir -p $(@D)
	$(Q)$(B)/c4d $(MAN_TABLE) >$@.table
	$(Q)awk -v table=$(MAN_TABLE) -v template=$< -v date="$$(LC_ALL=C date -u $(if $(SOURCE_DATE_EPOCH),-d @$(SOURCE_DATE_EPOCH)) '+%B %-d, %Y')" \
	    -f packaging/man/tables.awk $@.table >$@.tmp
	$(Q)mv $@.tmp $@ && rm $@.table
completions: $(COMPLETE)
$(DOCS)/completions/%: packaging/completion/%.in packaging/completion/core.sh packaging/completion/make.awk $(B)/c4d
	@mkdir -p $(@D)
	$(Q)$(B)/c4d commands | awk -f packaging/completion/make.awk - packaging/completion/core.sh $< >$@.tmp
	$(Q)mv $@.tmp $@

asan:
	$(Q)$(MAKE) --no-print-directory VARIANT=asan build/asan/c4d
	$(Q)ln -sf c4d build/asan/c4ctl
unit: $(UNITBIN)
	$(Q)for t in $(UNITBIN); do $$t || exit 1; done
replay: $(FUZZBIN)
	$(Q)for t in $(FUZZBIN); do $$t tests/fuzz/corpus/$$(basename $$t | sed s/fuzz_//) || exit 1; done
sim: $(B)/sim/sim
	$(Q)$< tests/sim/scenarios/*.sim
fuzz:
	$(Q)tests/tools/fuzz.sh $(or $(SECONDS),60)
# Which lines of src/ the tests reach; PARTS="unit sim" adds these to what was counted before.
coverage:
	$(Q)tests/tools/coverage.sh $(PARTS)
check:
	$(Q)tests/tools/check.sh
it:
	$(Q)tests/tools/check.sh integration
lint:
	$(Q)tests/tools/lint.sh
demo:
	$(Q)tests/tools/demo.sh $(KEEP)
bench:
	$(Q)tests/tools/bench.sh
# c4d's memory and open files over 30 minutes (MINUTES) of 50 changes a second.
soak:
	$(Q)MINUTES="$(MINUTES)" tests/tools/soak.sh
chaos:
	$(Q)RUN="$(RUN)" SHORT="$(SHORT)" SEED="$(SEED)" tests/tools/chaos.sh
deps:
	$(Q)tests/tools/deps.sh
# The Debian package: build/c4d_*.deb; and the proof of it on Debian 12 and 13, as root (packaging/test.sh).
deb:
	$(Q)packaging/deb.sh
deb-test:
	$(Q)packaging/test.sh
install: all
	install -D -m 0755 build/c4d $(DESTDIR)$(PREFIX)/sbin/c4d
	install -d $(DESTDIR)$(PREFIX)/bin
	ln -sf ../sbin/c4d $(DESTDIR)$(PREFIX)/bin/c4ctl
	install -D -m 0640 conf/c4d.yml $(DESTDIR)/etc/c4d/c4d.yml
clean:
	rm -rf build

.PHONY: all man completions asan unit replay sim fuzz coverage check it lint demo bench soak chaos deps deb deb-test install clean
.SECONDARY:
