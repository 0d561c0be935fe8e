#include "thermos/spec/graph.h"

#include "tests/spec/reading.h"
#include "thermos/spec/bind.h"

namespace dewar {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

TaskSpec spec_of(const std::vector<std::string>& names, const std::vector<Order>& orders) {
  TaskSpec spec;
  for (const std::string& name : names) {
    ProcessSpec process;
    process.name = name;
    spec.processes.push_back(process);
  }
  spec.constraints = orders;
  return spec;
}

TEST(Graph, PutsEachProcessBehindTheLastOneThatItWaitsFor) {
  const Graph graph = graph_of(spec_of({"d", "a", "b", "c", "alone"}, {{"a", "b", "d"}, {"a", "c", "d"}, {"a", "d"}}));
  EXPECT_THAT(graph.levels, ElementsAre(ElementsAre("a", "alone"), ElementsAre("b", "c"), ElementsAre("d")));
  EXPECT_THAT(graph.edges, ElementsAre(Pair("a", "b"), Pair("b", "d"), Pair("a", "c"), Pair("c", "d"), Pair("a", "d")));
  EXPECT_THAT(graph.final, IsEmpty());
}

TEST(Graph, HasEveryEdgeOnce) {
  EXPECT_THAT(graph_of(spec_of({"a", "b"}, {{"a", "b"}, {"a", "b"}})).edges, ElementsAre(Pair("a", "b")));
}

TEST(Graph, KeepsFinalProcessesApartInTheOrderOfTheirOwnLevels) {
  TaskSpec spec = spec_of({"z", "y", "a"}, {{"y", "z"}});
  spec.processes[0].final = spec.processes[1].final = true;
  const Graph graph = graph_of(spec);
  EXPECT_THAT(graph.levels, ElementsAre(ElementsAre("a")));
  EXPECT_THAT(graph.final, ElementsAre("y", "z"));
  EXPECT_THAT(graph.edges, ElementsAre(Pair("y", "z")));
}

TEST(Graph, FindsCyclesThatShareNoProcessUpToALimit) {
  const TaskSpec spec = spec_of({"a", "b", "c", "d", "e"}, {{"b", "a", "b"}, {"c", "c"}, {"a", "d", "e"}});
  const auto cycles = cycles_of(5, edges_of(spec), 10);
  EXPECT_THAT(cycles, ElementsAre(ElementsAre(0u, 1u), ElementsAre(2u)));
  EXPECT_EQ(cycles_of(5, edges_of(spec), 1).size(), 1u);
  EXPECT_THAT(levels_of(5, edges_of(spec)), ElementsAre(-1, -1, -1, -1, -1)) << "what waits for a cycle waits for ever";
}

TEST(Graph, OfAHundredThousandProcessesInARowNeedsNoDeepStack) {
  std::vector<Edge> edges;
  constexpr std::size_t kMany = 100'000;
  for (std::size_t i = 1; i < kMany; ++i) edges.push_back({i - 1, i, 0, i});
  EXPECT_EQ(levels_of(kMany, edges).back(), static_cast<int>(kMany) - 1);
  edges.push_back({kMany - 1, 0, 0, 0});
  EXPECT_EQ(cycles_of(kMany, edges, 2).at(0).size(), kMany);
}

}  // namespace
}  // namespace dewar
