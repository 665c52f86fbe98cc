import Foundation
import ShardRuntime
import TensorCore
import TestSupport
import Testing

/// A machine's files, as Linux shows them.
private final class Machine {
  let directory: TemporaryDirectory

  init(_ files: [String: String]) throws {
    directory = try TemporaryDirectory()
    let usual = [
      "proc/meminfo": "MemTotal:       8000000 kB\nMemFree: 100 kB\nMemAvailable:   6000000 kB\n",
      "proc/self/status": "Name:\tshardrun\nVmRSS:\t   20480 kB\nRssAnon:\t    8192 kB\n",
    ]
    for (path, text) in usual.merging(files, uniquingKeysWith: { $1 }) {
      let whole = directory.appending(path)
      try Directory.create(Directory.parent(of: whole))
      try Directory.writeAtomically(Array(text.utf8), to: whole)
    }
  }

  var memory: LinuxMemory { LinuxMemory(root: directory.path) }
}

@Suite("The memory that a process may take")
struct MemoryAllowanceTests {
  @Test("without control groups it is what is free, with what the process has already")
  func freeMemory() throws {
    let machine = try Machine([:])
    #expect(machine.memory.allowance?.bytes == (6_000_000 + 20_480) << 10)
    #expect(machine.memory.groupLimit == nil)
  }

  @Test("version 2: the least limit of the group and those above it")
  func secondVersion() throws {
    let machine = try Machine([
      "proc/self/cgroup": "0::/user.slice/session-1.scope\n",
      "sys/fs/cgroup/user.slice/memory.max": "1073741824\n",
      "sys/fs/cgroup/user.slice/memory.stat": "anon 104857600\nfile 5000000000\n",
      "sys/fs/cgroup/user.slice/session-1.scope/memory.max": "max\n",
    ])
    let allowance = try #require(machine.memory.allowance)
    // What other processes of the group cannot give back is not ours.
    #expect(allowance.bytes == 1 << 30 - (100 << 20 - 8 << 20))
    #expect(allowance.source.contains("/user.slice allows"))
    #expect(machine.memory.groupLimit == 1 << 30)
  }

  @Test("version 1, also where a container sees its own group as the root")
  func firstVersion() throws {
    let files = [
      "proc/self/cgroup": "5:devices:/\n4:cpu,memory:/docker/abc\n0::/\n",
      "sys/fs/cgroup/memory/memory.limit_in_bytes": "536870912\n",
      "sys/fs/cgroup/memory/memory.stat": "cache 900000000\ntotal_rss 8388608\n",
    ]
    let container = try Machine(files)
    #expect(container.memory.allowance?.bytes == 512 << 20)
    let host = try Machine(
      files.merging(
        [
          "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
          "sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes": "268435456\n",
        ], uniquingKeysWith: { $1 }))
    #expect(host.memory.allowance?.bytes == 256 << 20)
  }

  @Test("nonsense in these files allows nothing and refuses nothing")
  func nonsense() throws {
    let machine = try Machine([
      "proc/meminfo": "MemAvailable: many kB\n", "proc/self/cgroup": "0::/../../x\n:::\n\n",
      "sys/fs/cgroup/x/memory.max": "-\n",
    ])
    #expect(machine.memory.allowance == nil)
  }

  @Test("this process may take something")
  func current() throws {
    let allowance = try #require(MemoryAllowance.current())
    #expect(allowance.bytes > 64 << 20)
  }
}
