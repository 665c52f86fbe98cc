import CKernels

/// Conversions between 16-bit and 32-bit floats.
public enum FloatConversion {
  /// Precondition: `source` holds two bytes for each element of `target`.
  public static func f16ToF32(_ source: RawSpan, into target: inout MutableSpan<Float>) {
    unsafe widen(source, into: &target, Kernels.best.functions.f16_to_f32)
  }

  /// Precondition: `source` holds two bytes for each element of `target`.
  public static func bf16ToF32(_ source: RawSpan, into target: inout MutableSpan<Float>) {
    unsafe widen(source, into: &target, Kernels.best.functions.bf16_to_f32)
  }

  /// Rounds to nearest, ties to even.
  ///
  /// Precondition: `target` holds two bytes for each element of `source`.
  public static func f32ToF16(_ source: Span<Float>, into target: inout MutableRawSpan) {
    unsafe narrow(source, into: &target, Kernels.best.functions.f32_to_f16)
  }

  /// Rounds to nearest, ties to even.
  ///
  /// Precondition: `target` holds two bytes for each element of `source`.
  public static func f32ToBF16(_ source: Span<Float>, into target: inout MutableRawSpan) {
    unsafe narrow(source, into: &target, Kernels.best.functions.f32_to_bf16)
  }

  /// Whether no element is infinite or not a number.
  public static func allFinite(_ values: Span<Float>) -> Bool {
    unsafe values.withUnsafeBufferPointer { values in
      guard let base = values.baseAddress else { return true }
      return unsafe Kernels.best.functions.all_finite(base, values.count) != 0
    }
  }

  private static func widen(
    _ source: RawSpan, into target: inout MutableSpan<Float>,
    _ function: (UnsafeRawPointer, UnsafeMutablePointer<Float>, Int) -> Void
  ) {
    precondition(
      source.byteCount == 2 * target.count,
      "\(target.count) floats come from \(2 * target.count) bytes, not \(source.byteCount)")
    unsafe source.withUnsafeBytes { source in
      unsafe target.withUnsafeMutableBufferPointer { target in
        guard let from = source.baseAddress, let to = target.baseAddress
        else { return }
        unsafe function(from, to, target.count)
      }
    }
  }

  private static func narrow(
    _ source: Span<Float>, into target: inout MutableRawSpan,
    _ function: (UnsafePointer<Float>, UnsafeMutableRawPointer, Int) -> Void
  ) {
    precondition(
      target.byteCount == 2 * source.count,
      "\(source.count) floats make \(2 * source.count) bytes, not \(target.byteCount)")
    unsafe source.withUnsafeBufferPointer { source in
      unsafe target.withUnsafeMutableBytes { target in
        guard let from = source.baseAddress, let to = target.baseAddress
        else { return }
        unsafe function(from, to, source.count)
      }
    }
  }
}
