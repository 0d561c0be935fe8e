#include "thermos/spec/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

namespace dewar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Expansion expanded(const std::string& text, const std::map<std::string, std::string>& values,
                   std::size_t budget = kExpansionBudget) {
  const auto resolve = [&](const std::string& reference) {
    if (reference.starts_with("thermos.")) return means_later();
    const auto found = values.find(reference);
    return found == values.end() ? means_nothing("no " + reference) : means(found->second);
  };
  return expand(text, resolve, budget);
}

TEST(Template, FillsInEveryReference) {
  EXPECT_EQ(expanded("{{a}}-{{b.c}}-{{d[e/f-g.h]}}", {{"a", "1"}, {"b.c", "2"}, {"d[e/f-g.h]", "3"}}).text, "1-2-3");
  EXPECT_EQ(expanded("plain } text { with }} braces", {}).text, "plain } text { with }} braces");
}

TEST(Template, TakesTheInnermostBraces) {
  EXPECT_EQ(expanded("{{{a}}}", {{"a", "1"}}).text, "{1}");
  EXPECT_EQ(expanded(R"({"k":{"v":{{a}}}})", {{"a", "1"}}).text, R"({"k":{"v":1}})");
  EXPECT_EQ(expanded("{{ unclosed {{a}}", {{"a", "1"}}).text, "{{ unclosed 1");
}

TEST(Template, FillsInReferencesInsideReferences) {
  EXPECT_EQ(expanded("{{a{{b}}}}", {{"b", "x"}, {"ax", "deep"}}).text, "deep");
  EXPECT_EQ(expanded("{{a}}", {{"a", "{{b}}"}, {"b", "end"}}).text, "end");
}

TEST(Template, LeavesReferencesOfTheHost) {
  const Expansion result = expanded("{{thermos.task_id}} {{a}}", {{"a", "1"}});
  EXPECT_TRUE(result.ok);
  EXPECT_EQ(result.text, "{{thermos.task_id}} 1");
}

TEST(Template, RefusesAReferenceOfTheHostInsideAnother) {
  const Expansion result = expanded("{{x_{{thermos.task_id}}}}", {});
  EXPECT_FALSE(result.ok);
  EXPECT_THAT(result.problems, ElementsAre(HasSubstr("'{{thermos.task_id}}' is only known on the host")));
  EXPECT_TRUE(expanded("[{{thermos.task_id}}] {{{thermos.task_id}}}", {}).ok) << "brackets of the text itself";
}

TEST(Template, TellsEveryReferenceThatHasNoMeaning) {
  const Expansion result = expanded("{{a}} {{b}} {{c}}", {{"b", "1"}});
  EXPECT_FALSE(result.ok);
  EXPECT_THAT(result.problems, ElementsAre("no a", "no c"));
}

TEST(Template, SpacesBetweenTheBracesAreAnErrorThatSaysSo) {
  EXPECT_THAT(expanded("{{ a }}", {{"a", "1"}}).problems,
              ElementsAre("'{{ a }}' is not a reference: no spaces may stand between the braces; write '{{a}}'"));
  EXPECT_THAT(expanded("{{.State}}", {}).problems,
              ElementsAre("'{{.State}}' is not a reference; to mean the braces themselves, write '{{&.State}}'"));
}

TEST(Template, EscapedBracesStayUntilTheEndAndAreThenTakenLiterally) {
  EXPECT_EQ(expanded("{{&a}} {{a}}", {{"a", "1"}}).text, "{{&a}} 1");
  EXPECT_EQ(unescape("{{&a}} {{&.State.Pid}} {{b}}"), "{{a}} {{.State.Pid}} {{b}}");
  EXPECT_EQ(unescape("{{&&a}}"), "{{&a}}") << "once only";
}

TEST(Template, EndsWhenReferencesGoRoundInACircle) {
  const Expansion result = expanded("{{a}}", {{"a", "{{b}}"}, {"b", "{{a}}"}});
  EXPECT_FALSE(result.ok);
  EXPECT_THAT(result.problems, ElementsAre("references are still left after 100 rounds of filling in"));
}

TEST(Template, EndsWhenTheTextGrowsBeyondAnySense) {
  const Expansion doubling = expanded("{{a}}", {{"a", "{{a}}{{a}}"}});
  EXPECT_FALSE(doubling.ok);
  EXPECT_LT(doubling.text.size(), 4 * kMaxExpandedSize);
  EXPECT_FALSE(expanded("{{a}}{{a}}", {{"a", std::string(kMaxExpandedSize, 'x')}}).ok);
  EXPECT_TRUE(expanded("{{a}}", {{"a", std::string(kMaxExpandedSize, 'x')}}).ok);
}

TEST(Template, CountsItsWorkAgainstTheBudgetOfTheWholeFile) {
  const auto resolve = [](const std::string&) { return means("1"); };
  std::size_t budget = 100;  // the reference: 5 + 64, and 1 for the round that finds none
  EXPECT_TRUE(expand("{{a}}", resolve, budget).ok);
  EXPECT_EQ(budget, 30u);
  EXPECT_FALSE(expand("{{a}}", resolve, budget).ok);
  EXPECT_TRUE(expand("no reference", resolve, budget).ok);
}

TEST(Template, KnowsWhatAReferenceIsMadeOf) {
  EXPECT_THAT(split_reference("a"), ElementsAre("a"));
  EXPECT_THAT(split_reference("_a1.b_2"), ElementsAre("_a1", "b_2"));
  EXPECT_THAT(split_reference("thermos.ports[my-port/2.x]"), ElementsAre("thermos", "ports", "my-port/2.x"));
  for (const char* bad :
       {"", "1a", "a.", ".a", "a..b", "a b", "a[", "a[]", "a]", "a[b", "a[b c]", "a-b", "a.1", "&a"}) {
    EXPECT_THAT(split_reference(bad), IsEmpty()) << bad;
  }
}

}  // namespace
}  // namespace dewar
