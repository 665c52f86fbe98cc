#if os(Linux)
  import Foundation
  import TensorCore
  import TestSupport
  import Testing

  /// A compiler of C on this machine.
  private let compilerOfC: String? = {
    let toolchain = ProcessInfo.processInfo.environment["PATH"]?.split(separator: ":") ?? []
    return toolchain.flatMap { path in ["clang", "gcc", "cc"].map { "\(path)/\($0)" } }
      .first { FileManager.default.isExecutableFile(atPath: $0) }
  }()

  extension EndToEnd {
    /// File systems as on USB sticks, which know neither links nor the exchange of two names: a
    /// library in front of the system's own refuses them as such file systems do.
    @Suite(.enabled(if: compilerOfC != nil, "no C compiler here")) struct PlainFileSystems {
      private static let source = """
        #define _GNU_SOURCE
        #include <dlfcn.h>
        #include <errno.h>
        #include <stdlib.h>
        #include <string.h>
        #include <sys/stat.h>
        #include <unistd.h>
        static int refuse(int number) { errno = number; return -1; }
        int link(const char *a, const char *b) { return refuse(EPERM); }
        int linkat(int a, const char *b, int c, const char *d, int e) { return refuse(EPERM); }
        int symlink(const char *a, const char *b) { return refuse(EPERM); }
        int renameat2(int a, const char *b, int c, const char *d, unsigned e) {
          return refuse(EINVAL);
        }
        int rename(const char *a, const char *b) {
          struct stat s;
          if (stat(b, &s) == 0 && S_ISDIR(s.st_mode)) return refuse(ENOTEMPTY);
          int (*next)(const char *, const char *) = dlsym(RTLD_NEXT, "rename");
          int result = next(a, b);
          const char *last = strstr(b, ".old.partial");
          if (result == 0 && last && getenv("CRASH_BETWEEN")) _exit(99);
          return result;
        }
        """

      private let place: TemporaryDirectory
      private let models: PreparedModels
      private let shim: String

      init() throws {
        place = try TemporaryDirectory()
        models = try PreparedModels.shared.get()
        shim = place.appending("plain.so")
        try Directory.writeAtomically(Array(Self.source.utf8), to: place.appending("plain.c"))
        let run = try ProgramRun.run(
          try #require(compilerOfC),
          ["-shared", "-fPIC", "-o", shim, place.appending("plain.c"), "-ldl"])
        try #require(run.status == 0, "\(run.errors)")
      }

      private func tool(_ arguments: [String], crash: Bool = false) throws -> ProgramRun {
        var environment = ["LD_PRELOAD": shim]
        if crash { environment["CRASH_BETWEEN"] = "1" }
        return try ProgramRun.run("shardtool", arguments + ["--quiet"], environment: environment)
      }

      @Test func shipAndPackNeedNoLinks() throws {
        let bundles = try [[2, 2, 2], [1, 4, 1]].map { try models.bundle(bits: 4, split: $0) }
        let target = place.appending("stick/node-1")
        for bundle in [bundles[0], bundles[1], bundles[1], bundles[0]] {
          let run = try tool(["ship", bundle, "--node", "node-1", target])
          #expect(run.status == 0, "\(run.errors)")
          #expect(try tree(target) == tree("\(bundle)/nodes/node-1"))
          #expect(try Directory.names(in: place.appending("stick")) == ["node-1"])
        }
        let packed = place.appending("bundle")
        for (index, bundle) in bundles.enumerated() {
          let plan = bundle + ".plan.json"
          let run = try tool(["pack", models.path("q4"), "--plan", plan, "--output", packed])
          #expect(run.status == 0, "\(run.errors)")
          #expect(try tree(packed) == tree(bundles[index]))
        }
      }

      /// The one moment at which such a file system has neither the old nor the new directory.
      @Test func aCrashBetweenTheTwoStepsIsSetRight() throws {
        let bundles = try [[2, 2, 2], [1, 4, 1]].map { try models.bundle(bits: 4, split: $0) }
        let old = try tree("\(bundles[0])/nodes/node-1")
        let new = try tree("\(bundles[1])/nodes/node-1")
        for mending in ["ship", "gc"] {
          let target = place.appending("\(mending)/node-1")
          _ = try tool(["ship", bundles[0], "--node", "node-1", target])
          let arguments = ["ship", bundles[1], "--node", "node-1", target]
          #expect(try tool(arguments, crash: true).status == 99)
          #expect(!Directory.exists(target))
          if mending == "gc" {
            #expect(try tool(["gc", place.appending("gc")]).status == 0)
            #expect(try tree(target) == old)
          }
          let run = try tool(arguments)
          #expect(run.status == 0, "\(run.errors)")
          #expect(try tree(target) == new)
          #expect(try Directory.names(in: place.appending(mending)) == ["node-1"])
        }
      }
    }
  }
#endif
