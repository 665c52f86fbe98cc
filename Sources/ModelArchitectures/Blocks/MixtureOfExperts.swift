import Foundation
import TensorCore
import TensorKernels

/// A feed-forward network of several experts, of which the router picks a few for each token.
///
/// Source: Jiang et al. 2024, "Mixtral of Experts", section 2.1: softmax over all experts, the
/// best k, their weights scaled to the sum 1.
struct MixtureOfExperts: FeedForward {
  let router: Linear
  let experts: [GatedFeedForward]
  let expertsPerToken: Int

  func callAsFunction(_ input: Matrix, _ pass: ForwardPass, into result: Matrix) {
    let work = pass.workspace
    guard let expertOutput = work.expertOutput, let scores = work.routerScores else {
      preconditionFailure("the workspace was made for a dense model")
    }
    router(LinearInput(input, codes: work.hiddenCodes, for: [router], pass), pass, into: scores)
    let choices = (0..<pass.rows).map { choose(scores.row($0)) }
    for row in 0..<pass.rows { result.withMutableRow(row) { $0.fill(0) } }
    // Experts in their order, so that every token's sum has one order, whatever the chunk.
    for (index, expert) in experts.enumerated() {
      let rows = choices.indices.filter { choices[$0].contains { $0.expert == index } }
      guard !rows.isEmpty else { continue }
      for (place, row) in rows.enumerated() { copy(input, row, to: work.secondary, place) }
      expert(work.secondary, pass.with(rows: rows.count), into: expertOutput)
      for (place, row) in rows.enumerated() {
        let weight = choices[row].first { $0.expert == index }?.weight ?? 0
        add(expertOutput, place, times: weight, to: result, row)
      }
    }
  }

  /// The best experts of one token and their weights; the lower index wins a tie.
  private func choose(_ scores: [Float]) -> [(expert: Int, weight: Float)] {
    let highest = scores.max() ?? 0
    let exponentials = scores.map { Float(exp(Double($0 - highest))) }
    let total = exponentials.reduce(0, +)
    let order = scores.indices.sorted {
      exponentials[$0] != exponentials[$1] ? exponentials[$0] > exponentials[$1] : $0 < $1
    }
    let best = order.prefix(expertsPerToken).map { ($0, exponentials[$0] / total) }
    let sum = best.reduce(Float(0)) { $0 + $1.1 }
    return best.map { (expert: $0.0, weight: $0.1 / sum) }
  }

  private func copy(_ source: Matrix, _ row: Int, to target: Matrix, _ place: Int) {
    source.withRow(row) { from in
      target.withMutableRow(place) { to in
        for column in 0..<from.count { to[column] = from[column] }
      }
    }
  }

  private func add(
    _ source: Matrix, _ place: Int, times weight: Float, to target: Matrix, _ row: Int
  ) {
    source.withRow(place) { from in
      target.withMutableRow(row) { to in
        for column in 0..<from.count { to[column] += weight * from[column] }
      }
    }
  }
}

extension MutableSpan where Element == Float {
  fileprivate mutating func fill(_ value: Float) {
    for index in 0..<count { self[index] = value }
  }
}
