import StrictJSON
import TensorCore
import TestSupport
import Testing

extension EndToEnd {
  /// The benchmarks run, and their results meet their schemas and add up.
  @Suite struct Benches {
    private func json(_ arguments: [String]) throws -> JSONValue {
      let run = try ProgramRun.run("shardbench", arguments + ["--json", "--quiet"])
      #expect(run.status == 0)
      return try JSONParsing().parse(run.output)
    }

    private func median(_ value: JSONValue?) -> Double {
      let sorted = (value?.array?.compactMap(\.double) ?? []).sorted()
      return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }

    @Test func kernels() throws {
      let result = try json([
        "kernels", "--shape", "96x320", "33x64", "--scheme", "q4", "q8", "f16", "bf16", "f32",
        "--threads", "1,2", "--tokens", "1,5", "--repetitions", "3", "--memory", "1M",
      ])
      #expect(try violations(of: "shardbench.kernels", result) == [])
      let rows = try #require(result["results"]?.array)
      #expect(rows.count == 5 * 2 * 2 * 2)
      for row in rows {
        let bytes = Double(try #require(row["weight_bytes"]?.int))
        let rate = try #require(row["weight_bytes_per_second"]?.double)
        #expect(abs(rate * median(row["seconds_samples"]) / bytes - 1) < 1e-9)
        #expect((row["share_of_read_bandwidth"]?.double ?? 0) > 0)
      }
      let q4 = rows.first { $0["scheme"] == "q4" && $0["rows"]?.int == 96 }
      #expect(q4?["weight_bytes"]?.int == 96 / 16 * 5 * 576 + 96 * 4)
    }

    @Test func pool() throws {
      let result = try json(["pool", "--threads", "2", "--repetitions", "500"])
      #expect(try violations(of: "shardbench.pool", result) == [])
      for job in result["jobs"]?.array ?? [] {
        let median = try #require(job["median_seconds"]?.double)
        #expect(median > 0 && median <= (job["p95_seconds"]?.double ?? 0))
      }
    }

    @Test func planning() throws {
      for links in [[], ["--links"]] {
        let size = ["--nodes", "5", "--layers", "12", "--clusters", "3"]
        let result = try json(["plan"] + size + links)
        #expect(try violations(of: "shardbench.plan", result) == [])
        for objective in result["objectives"]?.array ?? [] {
          #expect(objective["seconds"]?.array?.count == 3)
          #expect(objective["nodes_taken"]?.array?.allSatisfy { $0.int ?? 0 >= 2 } == true)
        }
      }
    }

    @Test func load() throws {
      let models = try PreparedModels.shared.get()
      let whole = try json([
        "load", try models.bundle(bits: 4, split: [6]), "--repetitions", "2",
      ])
      #expect(try violations(of: "shardbench.load", whole) == [])
      #expect((whole["ratio"]?.double ?? 0) > 0)
      let stored = try #require(whole["stored_bytes"]?.int)
      let weights = try #require(whole["weight_bytes"]?.int)
      #expect(stored > 1_000_000 && weights > 1_000_000 && weights < 3_000_000)
      let part = try json([
        "load", try models.bundle(bits: 4, split: [2, 2, 2]) + "/nodes/node-1",
        "--repetitions", "1",
      ])
      #expect(part["node"] == "node-1")
      #expect((part["stored_bytes"]?.int ?? .max) < stored / 2)
    }

    @Test func verify() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 16, split: [2, 2, 2])
      let result = try json(["verify", bundle, "--repetitions", "2", "--threads", "2"])
      #expect(try violations(of: "shardbench.verify", result) == [])
      let stored = try #require(result["stored_bytes"]?.int)
      // Weights in 16 bits are compressed, and so hashed twice.
      #expect((result["hashed_bytes"]?.int ?? 0) > 3 * stored / 2)
      #expect((result["stored_share"]?.double ?? 0) > 0)
    }

    @Test func pack() throws {
      let models = try PreparedModels.shared.get()
      let place = try TemporaryDirectory()
      let bundle = try models.bundle(bits: 4, split: [6])
      let result = try json([
        "pack", models.path("q4"), "--plan", bundle + ".plan.json", "--output",
        place.appending("bundle"),
        "--repetitions", "1", "--sample", "1M",
      ])
      #expect(try violations(of: "shardbench.pack", result) == [])
      #expect((result["raw_bytes"]?.int ?? 0) > 1_000_000)
      #expect((result["share"]?.double ?? 0) > 0)
      #expect(!Directory.exists(place.appending("bundle")))
    }

    @Test func generate() throws {
      let models = try PreparedModels.shared.get()
      let bundle = try models.bundle(bits: 4, split: [6])
      let result = try json([
        "generate", bundle, "--prompt-tokens", "32", "--generate-tokens", "8", "--repetitions", "3",
      ])
      #expect(try violations(of: "shardbench.generate", result) == [])
      #expect(
        result["decode_tokens_per_second"]?.double
          == median(result["decode_tokens_per_second_samples"]))
      let positions = try json([
        "generate", bundle, "--positions", "16,400", "--generate-tokens", "8", "--repetitions",
        "3",
      ])
      #expect(try violations(of: "shardbench.positions", positions) == [])
      let rows = try #require(positions["positions"]?.array)
      #expect(rows.count == 2 && rows[0]["slowdown"]?.double == 1)
      let first = try #require(rows[0]["cache_bytes_per_token"]?.int)
      let second = try #require(rows[1]["cache_bytes_per_token"]?.int)
      // 32 and 416 positions, rounded up to 16.
      #expect(second == first * 13)
    }

    /// Where this machine stands for three, its speed says nothing of theirs.
    @Test func onlyThePlannedMachineIsCompared() throws {
      let models = try PreparedModels.shared.get()
      for split in [[2, 2, 2], [6]] {
        let run = try shardrun([
          "bench", try models.bundle(bits: 4, split: split), "--json", "--repetitions", "1",
          "--prompt-tokens", "8", "--generate-tokens", "4",
        ])
        let drift = try #require(try JSONParsing().parse(run.output)["token_drift"]?.double)
        let isTold = run.errors.contains("than predicted")
        #expect(isTold == (split.count == 1 && abs(drift) > 0.25), "\(drift): \(run.errors)")
      }
    }

    @Test func whatCannotBeMeasuredIsRefused() throws {
      let models = try PreparedModels.shared.get()
      let divided = try models.bundle(bits: 4, split: [2, 2, 2])
      let whole = try models.bundle(bits: 4, split: [6])
      for (arguments, word) in [
        (["generate", divided], "node-1"),
        (["generate", whole, "--positions", "64,100000"], "positions"),
        (["kernels", "--scheme", "q5"], "q5"),
        (["kernels", "--shape", "4096"], "4096"),
        (["kernels", "--isa", "reference", "--threads", "0"], "threads"),
        (["pool", "--repetitions", "1"], "repetitions"),
        (["plan", "--nodes", "17"], "nodes"),
      ] {
        let run = try ProgramRun.run("shardbench", arguments)
        #expect(run.status != 0 && run.errors.contains(word), "\(arguments)")
      }
    }
  }
}
