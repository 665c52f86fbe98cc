import CKernels

/// A family of processor instructions that kernels are compiled for.
///
/// All of them compute the same bits; `reference` is plain scalar code and their specification.
public enum InstructionSet: String, CaseIterable, Sendable {
  case reference, avx2, avxvnni, avx512, neon

  /// Those that this processor has, best first; `reference` is always the last.
  public static var available: [InstructionSet] {
    [.avx512, .avxvnni, .avx2, .neon, .reference].filter { $0.kernels != nil }
  }

  /// How the C headers number it.
  package var index: Int32 {
    switch self {
    case .reference: Int32(CK_REFERENCE)
    case .avx2: Int32(CK_AVX2)
    case .avxvnni: Int32(CK_AVXVNNI)
    case .avx512: Int32(CK_AVX512)
    case .neon: Int32(CK_NEON)
    }
  }

  /// Nil where the processor or the build lacks the set.
  var kernels: Kernels? {
    guard let table = unsafe ck_kernels_find(index) else { return nil }
    return unsafe Kernels(table: table)
  }
}

/// The C functions of one instruction set.
///
// SAFETY: the table is a constant of the program.
@safe struct Kernels: @unchecked Sendable {
  private let table: UnsafePointer<ck_kernels>

  init(table: UnsafePointer<ck_kernels>) {
    unsafe self.table = unsafe table
  }

  @unsafe var functions: ck_kernels { unsafe table.pointee }

  /// The best of this processor.
  static let best: Kernels = {
    for set in InstructionSet.available {
      if let kernels = set.kernels { return kernels }
    }
    preconditionFailure("the reference kernels are always there")
  }()
}
