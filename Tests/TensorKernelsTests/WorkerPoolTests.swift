import Foundation
import Synchronization
import TensorKernels
import Testing

@Suite struct WorkerPoolTests {
  @Test(arguments: [1, 2, 3, 8])
  func everyChunkRunsOnce(_ threads: Int) {
    let pool = WorkerPool(threads: threads)
    let counts = (0..<257).map { _ in Counter() }
    for round in 1...200 {
      let chunks = round % 257
      pool.run(chunks: chunks) { counts[$0].add() }
    }
    for chunk in 0..<257 {
      // Chunk i runs in each round with more than i chunks.
      #expect(counts[chunk].value == max(0, 200 - chunk))
    }
  }

  @Test func noTwoChunksShareASlot() {
    let pool = WorkerPool(threads: 4)
    let inUse = (0..<4).map { _ in Counter() }
    let clashes = Counter()
    for _ in 0..<50 {
      pool.run(chunks: 64) { (_: Int, slot: Int) in
        if inUse[slot].add() != 1 { clashes.add() }
        for _ in 0..<200 { _ = slot &* 3 }
        inUse[slot].subtract()
      }
    }
    #expect(clashes.value == 0)
  }

  @Test func sleepersWakeForWork() {
    let pool = WorkerPool(threads: 3)
    let count = Counter()
    for _ in 0..<20 {
      Thread.sleep(forTimeInterval: 0.001)
      pool.run(chunks: 6) { _ in count.add() }
    }
    #expect(count.value == 120)
  }

  @Test func jobsMayNestAndComeFromSeveralThreads() async {
    let pool = WorkerPool(threads: 3)
    let count = Counter()
    await withTaskGroup(of: Void.self) { group in
      for _ in 0..<4 {
        group.addTask {
          for _ in 0..<100 {
            pool.run(chunks: 5) { _ in pool.run(chunks: 3) { _ in count.add() } }
          }
        }
      }
    }
    #expect(count.value == 4 * 100 * 15)
  }

  @Test func thereIsACoreAtLeast() {
    #expect(WorkerPool.defaultThreadCount >= 1)
    #expect(WorkerPool.defaultThreadCount <= ProcessInfo.processInfo.activeProcessorCount)
  }
}

final class Counter: Sendable {
  private let number = Atomic<Int>(0)

  @discardableResult func add() -> Int {
    number.add(1, ordering: .sequentiallyConsistent).newValue
  }

  func subtract() { number.subtract(1, ordering: .sequentiallyConsistent) }

  var value: Int { number.load(ordering: .sequentiallyConsistent) }
}
