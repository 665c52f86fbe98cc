import CKernels

/// Non-linear functions between the linear layers.
public enum Activation: String, Sendable, CaseIterable {
  /// x · sigmoid(x)
  case silu
  /// GELU by its tanh form, `gelu_new` and `gelu_pytorch_tanh` in configurations.
  case geluTanh
  /// GELU by the error function, `gelu` in configurations.
  case gelu
  case relu
  /// x · sigmoid(1.702 x)
  case quickGelu

  var index: Int32 {
    switch self {
    case .silu: Int32(CK_SILU)
    case .geluTanh: Int32(CK_GELU_TANH)
    case .gelu: Int32(CK_GELU_ERF)
    case .relu: Int32(CK_RELU)
    case .quickGelu: Int32(CK_GELU_QUICK)
    }
  }
}
