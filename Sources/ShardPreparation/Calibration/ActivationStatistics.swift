import ModelArchitectures
import Quantization
import Synchronization
import TensorCore
import TensorKernels

/// Gathers Σ a aᵀ of what goes into the products of a component.
///
/// Matrices that are multiplied with the same activations one after the other share their sums.
final class ActivationStatistics: LinearObserver {
  private struct State {
    var grams: [ActivationGram] = []
    /// Which sums belong to a matrix, and whether it is the one that adds to them.
    var places: [ObjectIdentifier: (gram: Int, leads: Bool)] = [:]
    /// The input of the latest product, and the sums that are of it, where any are.
    var lastInput: ObjectIdentifier?
    var lastGram: Int?
  }

  private let state = Mutex(State())
  private let pool: WorkerPool
  /// Matrices that statistics are wanted of.
  private let wanted: Set<ObjectIdentifier>

  init(of matrices: [PackedMatrix], pool: WorkerPool) {
    wanted = Set(matrices.map { ObjectIdentifier($0) })
    self.pool = pool
  }

  func observe(_ weights: PackedMatrix, input: Matrix, rows: Int) {
    let gram = state.withLock { state -> ActivationGram? in
      let key = ObjectIdentifier(weights)
      let source = ObjectIdentifier(input)
      if state.lastInput != source { state.lastGram = nil }
      state.lastInput = source
      guard wanted.contains(key) else { return nil }
      if let place = state.places[key] {
        state.lastGram = place.gram
        return place.leads ? state.grams[place.gram] : nil
      }
      if let last = state.lastGram, state.grams[last].columns == weights.columns {
        state.places[key] = (last, false)
        return nil
      }
      state.lastGram = state.grams.count
      state.places[key] = (state.grams.count, true)
      let gram = ActivationGram(columns: weights.columns)
      state.grams.append(gram)
      return gram
    }
    gram?.add(input, rows: rows, pool: pool)
  }

  /// The sums of a matrix: their number, which matrices may share, and themselves.
  func gram(of weights: PackedMatrix) -> (number: Int, gram: ActivationGram)? {
    state.withLock { state in
      state.places[ObjectIdentifier(weights)].map { ($0.gram, state.grams[$0.gram]) }
    }
  }
}
