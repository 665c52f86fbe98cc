/// How stored weights are encoded; `ck_formats.h` says what the bytes mean.
public enum WeightFormat: String, Sendable, CaseIterable {
  case f32
  case f16
  case bf16
  case q8
  case q4
}
