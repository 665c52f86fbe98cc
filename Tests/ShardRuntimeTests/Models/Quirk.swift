import StrictJSON
import TestSupport
import Testing

/// A peculiarity of a family, and how a program behaves that does not know it.
struct Quirk: CustomTestStringConvertible, Sendable {
  /// What leaving the peculiarity out does.
  enum Effect: Sendable {
    /// Logits move away from the golden ones.
    case movesLogits
    /// The hidden states after this layer move away; later ones hold other changes, too.
    case movesHidden(layer: Int)
    /// Logits of the short prompt, run with a context as short, move away.
    case movesShortLogits
    /// The checkpoint cannot be read.
    case refuses
    /// Nothing: the two mean the same.
    case changesNothing
  }

  /// A folder of `fixtures/families`.
  let fixture: String
  /// As the registry's support table calls it.
  let name: String
  /// How it is left out.
  let way: String
  let effect: Effect
  let edit: @Sendable (inout EditableCheckpoint) throws -> Void

  init(
    _ fixture: String, _ name: String, _ way: String, _ effect: Effect = .movesLogits,
    _ edit: @escaping @Sendable (inout EditableCheckpoint) throws -> Void
  ) {
    self.fixture = fixture
    self.name = name
    self.way = way
    self.effect = effect
    self.edit = edit
  }

  /// A member of config.json replaced, or (with nil) removed.
  init(
    _ fixture: String, _ name: String, _ key: String, _ value: JSONValue?,
    _ effect: Effect = .movesLogits
  ) {
    let text = value?.serialized(.compact) ?? "missing"
    self.init(fixture, name, "\(key) = \(text)", effect) { $0.configuration[key] = value }
  }

  /// Tensors with this ending zeroed.
  init(_ fixture: String, _ name: String, zeroed ending: String) {
    self.init(fixture, name, "\(ending) = 0") { try $0.zero(ending) }
  }

  var testDescription: String { "\(fixture), \(name): \(way)" }
  var directory: String { Places.fixture("families/\(fixture)") }
}
