import CKernels
import TensorCore

#if canImport(Glibc)
  import Glibc
#else
  import Darwin
#endif

/// The kernels of one instruction set and the threads that run them: all a forward pass calls.
///
/// A process makes one. Results depend on shapes alone, never on threads, on the instruction
/// set or on how many rows are treated together.
public final class ComputeContext: Sendable {
  public let instructionSet: InstructionSet
  public let pool: WorkerPool
  let kernels: Kernels

  /// Takes `instructionSet`, else the one that `SHARD_ISA` names, else the best of this machine.
  ///
  /// Throws: a fault where the processor lacks the set or `SHARD_ISA` names none.
  public init(threads: Int, instructionSet: InstructionSet? = nil) throws(KernelFault) {
    guard threads >= 1, threads <= WorkerPool.threadLimit else {
      throw .noThreads(threads)
    }
    let set = try Self.choose(instructionSet)
    guard let kernels = set.kernels else { throw .missingInstructionSet(set) }
    self.instructionSet = set
    self.kernels = kernels
    pool = WorkerPool(threads: threads)
  }

  /// The instruction sets of this processor, best first.
  public static var available: [InstructionSet] { InstructionSet.available }

  private static func choose(
    _ instructionSet: InstructionSet?
  ) throws(KernelFault) -> InstructionSet {
    if let instructionSet { return instructionSet }
    let best = InstructionSet.available.first ?? .reference
    guard let text = unsafe getenv("SHARD_ISA") else { return best }
    let name = unsafe String(cString: text)
    guard !name.isEmpty else { return best }
    guard let set = InstructionSet(rawValue: name) else { throw .unknownInstructionSet(name) }
    return set
  }

  /// Runs `body` for parts of `0..<count`, on several threads where the work is worth it.
  func divide(_ count: Int, costPerItem: Int, _ body: (Range<Int>) -> Void) {
    guard count > 0 else { return }
    let worthwhile = count * costPerItem / Self.leastCostPerChunk
    let chunks = min(count, worthwhile, pool.threads * Self.chunksPerThread)
    guard chunks > 1, pool.threads > 1 else { return body(0..<count) }
    pool.run(chunks: chunks) { chunk in
      body(count * chunk / chunks..<count * (chunk + 1) / chunks)
    }
  }

  /// Elements (of an elementwise function) below which a thread is not worth waking.
  static let leastCostPerChunk = 8192
  private static let chunksPerThread = 4
}
