import TensorCore
import TensorKernels
import Testing

@Suite struct ComputeContextTests {
  @Test func theReferenceIsAlwaysThereAndTheBestIsFirst() throws {
    #expect(ComputeContext.available.last == .reference)
    #expect(Set(ComputeContext.available).count == ComputeContext.available.count)
    print("kernels: tested \(ComputeContext.available.map(\.rawValue).joined(separator: ", "))")
  }

  @Test func aMissingInstructionSetIsRefused() {
    for set in InstructionSet.allCases where !ComputeContext.available.contains(set) {
      #expect {
        try ComputeContext(threads: 1, instructionSet: set)
      } throws: { error in
        guard let fault = error as? KernelFault else { return false }
        return fault.code == "kernels.missingInstructionSet" && fault.exitStatus == .usage
          && fault.message.contains(set.rawValue)
      }
    }
  }

  @Test(arguments: [0, -1, 100_000])
  func absurdThreadCountsAreRefused(_ threads: Int) {
    #expect {
      try ComputeContext(threads: threads, instructionSet: .reference)
    } throws: { error in
      (error as? KernelFault)?.code == "kernels.noThreads"
    }
  }

  @Test func bandwidthIsMeasured() {
    let rate = ComputeContext.measureReadBandwidth(threads: 2, bytes: 16 << 20, repetitions: 3)
    #expect(rate > 1e8)
  }
}
