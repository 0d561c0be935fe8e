// What is told of bad task files, and where.
#include "tests/spec/reading.h"

namespace dewar {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

TEST(Complaints, AreToldAllAtOnceInTheOrderOfTheFile) {
  EXPECT_THAT(complaints_of(R"(nmae: x
max_failures: lots
processes:
  - name: a/b
    cmdline: ""
    max_failure: 3
  - {cmdline: x, daemon: yes}
order: [a, q]
)"),
              ElementsAre("1:1: unknown key 'nmae'; did you mean 'name'?",
                          "2:15: 'max_failures' must be a whole number, found 'lots'",
                          "4:11: process name 'a/b' must not have a '/'", "5:14: 'cmdline' is empty",
                          "6:5: unknown key 'max_failure'; did you mean 'max_failures'?",
                          "7:5: a process needs a 'name'", "7:26: 'daemon' must be true or false, found 'yes'",
                          "8:9: no process is named 'a'", "8:12: no process is named 'q'"));
}

TEST(Complaints, AreShownWithTheLineAndACaret) {
  const std::string text = "name: x\nmax_failures: lots\n";
  EXPECT_THAT(show_complaints("web.yaml", text, read_task(text).complaints),
              StartsWith("web.yaml:1:1: error: a task needs at least one process\n    name: x\n    ^\n"
                         "web.yaml:2:15: error: 'max_failures' must be a whole number, found 'lots'\n"
                         "    max_failures: lots\n                  ^\n"));
}

TEST(Complaints, CountColumnsInCharactersAndKeepTabsInLine) {
  const std::string text = "processes: [{name: äöü, cmdline: x, daemon:\tno}]\n";
  EXPECT_THAT(complaints_of(text), ElementsAre("1:45: 'daemon' must be true or false, found 'no'"));
  EXPECT_THAT(show_complaints("f", text, read_task(text).complaints),
              HasSubstr("daemon:\tno}]\n    " + std::string(43, ' ') + "\t^\n"));
}

TEST(Complaints, AboutTheWholeFileHaveNoPlace) {
  EXPECT_EQ(show_complaints("f", "", read_task("").complaints), "f: error: the file is empty\n");
  EXPECT_THAT(complaints_of(" \n\n"), ElementsAre("0:0: the file is empty"));
}

TEST(Complaints, OfALongLineShowOnlyItsMessageOrItsBeginning) {
  const std::string text = "name: " + std::string(1000, 'x') + "\nprocesses: [{name: p, cmdline: x}]\n";
  const std::string shown = show_complaints("f", text, read_task(text).complaints);
  EXPECT_THAT(shown, HasSubstr("is longer than 200 bytes"));
  EXPECT_LT(shown.size(), 500u);
}

TEST(Complaints, WarningsDoNotRefuseTheTask) {
  const std::string text = with_process("logger: {rotate: {backups: 3}}");
  EXPECT_THAT(complaints_of(text), ElementsAre("2:10: warning: 'rotate' has no effect without 'mode: rotate'"));
  EXPECT_TRUE(read_task(text).spec.has_value());
  EXPECT_THAT(show_complaints("f", text, read_task(text).complaints), StartsWith("f:2:10: warning: "));
}

TEST(Complaints, NameTheKeysThatAreKnownWhenNoneIsClose) {
  EXPECT_THAT(complaints_of("processes: [{name: p, cmdline: x, zzzzzz: 1}]"),
              ElementsAre(HasSubstr("unknown key 'zzzzzz'; known here are name, cmdline, max_failures")));
}

TEST(Complaints, OfWrongTypesSayWhatIsWantedAndWhatWasFound) {
  const auto one = [](const std::string& line) {
    const auto all = complaints_of(with_process(line));
    EXPECT_EQ(all.size(), 1u) << line;
    return all.empty() ? "" : all[0];
  };
  EXPECT_EQ(one("max_failures: -1"), "2:15: 'max_failures' must be a whole number, not negative, found '-1'");
  EXPECT_EQ(one("max_failures: 1.5"), "2:15: 'max_failures' must be a whole number, found '1.5'");
  EXPECT_EQ(one("max_failures: 1e99"),
            "2:15: 'max_failures' must be a whole number from 0 to 2147483647, found '1e99'");
  EXPECT_EQ(one("max_failures: [1]"), "2:15: 'max_failures' must be a whole number, found a list");
  EXPECT_EQ(one("name: {a: b}"), "2:7: 'name' must be text, found a map");
  EXPECT_EQ(one("finalization_wait: soon"),
            "2:20: 'finalization_wait' must be a time span such as 30, 30s, 500ms, 5m or 2h, found 'soon'");
  EXPECT_EQ(one("finalization_wait: 400d"),
            "2:20: 'finalization_wait' must be a time span of at most 366 days, found '400d'");
  EXPECT_EQ(one("finalization_wait: -5"),
            "2:20: 'finalization_wait' must be a time span such as 30, 30s, 500ms, 5m or 2h, found '-5'");
  EXPECT_EQ(one("time_limit: never"),
            "2:13: 'time_limit' must be a time span such as 30, 30s, 500ms, 5m or 2h, found 'never'");
  EXPECT_EQ(one("resources: {ram: much}"),
            "2:18: 'ram' must be a size such as 134217728, 128MB or 1.5GB, found 'much'");
  EXPECT_EQ(one("resources: {ram: 1KB}"), "2:18: 'ram' must be at least 1.0 MB, found '1KB'");
  EXPECT_EQ(one("resources: {cpu: nan}"), "2:18: 'cpu' must be a number, found 'nan'");
  EXPECT_EQ(one("resources: {cpu: 0}"), "2:18: 'cpu' must be a number from 0.001 to 100000, found '0'");
  EXPECT_EQ(one("constraints: x"), "2:14: 'constraints' must be a list, found 'x'");
  EXPECT_EQ(one("constraints: [x]"), "2:15: this item must be a map of fields, found 'x'");
  EXPECT_EQ(one("logger: {destination: printer}"),
            "2:23: 'destination' must be one of file, console, both, none, found 'printer'");
  EXPECT_EQ(one("logger: {when_full: wait}"), "2:21: 'when_full' must be one of block, drop, found 'wait'");
  EXPECT_EQ(one("logger: {rate_limit: 0}"), "2:22: 'rate_limit' must be at least 1 B, found '0'");
  EXPECT_EQ(one("logger: {journald: maybe}"), "2:20: 'journald' must be true or false, found 'maybe'");
  EXPECT_EQ(one("logger: {mode: rotate, rotate: {compress: maybe}}"),
            "2:43: 'compress' must be true or false, found 'maybe'");
  EXPECT_EQ(one("logger: {mode: rotate, rotate: {backups: 0}}"),
            "2:42: 'backups' must be a whole number from 1 to 10000, found '0'");
}

TEST(Complaints, OfNames) {
  const auto of_name = [](const std::string& yaml) {
    return complaints_of("processes: [{name: " + yaml + ", cmdline: x}]");
  };
  EXPECT_THAT(of_name("''"), ElementsAre("1:20: process name '' is empty"));
  EXPECT_THAT(of_name(".hidden"), ElementsAre("1:20: process name '.hidden' must not begin with '.'"));
  EXPECT_THAT(of_name("/x"), ElementsAre("1:20: process name '/x' must not have a '/'"));
  EXPECT_THAT(of_name("\"a\\nb\""), ElementsAre("1:20: process name 'a?b' has a control character"));
  EXPECT_THAT(of_name("\"a\\0b\""), ElementsAre(HasSubstr("'name' must be text without NUL characters")));
  EXPECT_THAT(of_name(std::string(201, 'x')), ElementsAre(HasSubstr("is longer than 200 bytes")));
  EXPECT_THAT(of_name(std::string(200, 'x')), IsEmpty());
  EXPECT_THAT(of_name("'a b: ü'"), IsEmpty());
  EXPECT_THAT(complaints_of("processes: [{name: a, cmdline: x}, {name: b, cmdline: x}, {name: a, cmdline: y}]"),
              ElementsAre("1:66: two processes are named 'a'; the first stands in line 1"));
}

TEST(Complaints, OfCommandLines) {
  const auto of_cmdline = [](const std::string& yaml) {
    return complaints_of("processes: [{name: p, cmdline: " + yaml + "}]");
  };
  EXPECT_THAT(of_cmdline("' \t '"), ElementsAre(HasSubstr("'cmdline' is empty")));
  EXPECT_THAT(of_cmdline("~"), ElementsAre(HasSubstr("a process needs a 'cmdline'")));
  EXPECT_THAT(of_cmdline(std::string((128u << 10) - 1, 'x')), IsEmpty());
  EXPECT_THAT(of_cmdline(std::string(128u << 10, 'x')), ElementsAre(HasSubstr("'cmdline' is 128 KB or longer")));
}

TEST(Complaints, OfProcessesThatAreMissing) {
  EXPECT_THAT(complaints_of("name: x"), ElementsAre("1:1: a task needs at least one process"));
  EXPECT_THAT(complaints_of("processes: []"), ElementsAre("1:1: a task needs at least one process"));
  EXPECT_THAT(complaints_of("- a"), ElementsAre("1:1: a task file is a map with 'name' and 'processes'"));
}

TEST(Complaints, OfOrdersThatNoPlanCanFollow) {
  const std::string processes =
      "processes:\n- {name: a, cmdline: x}\n- {name: b, cmdline: x}\n- {name: c, cmdline: x}\n"
      "- {name: d, cmdline: x, daemon: true}\n- {name: e, cmdline: x, ephemeral: true}\n"
      "- {name: f, cmdline: x, final: true}\n";
  const auto of_order = [&](const std::string& order) { return complaints_of(processes + "order: " + order); };
  EXPECT_THAT(of_order("[[a, b], [b, c], [c, a]]"),
              ElementsAre("8:29: processes wait for each other in a circle: a -> b -> c -> a"));
  EXPECT_THAT(of_order("[[a, b, a], [c, c]]"),
              ElementsAre("8:16: processes wait for each other in a circle: a -> b -> a",
                          "8:24: processes wait for each other in a circle: c -> c"));
  EXPECT_THAT(of_order("[d, a]"), ElementsAre("8:12: 'a' would wait for ever: 'd' is a daemon and never finishes"));
  EXPECT_THAT(of_order("[a, d]"), IsEmpty());
  EXPECT_THAT(of_order("[e, a]"), ElementsAre(HasSubstr("8:12: 'a' cannot wait for 'e', which is ephemeral")));
  EXPECT_THAT(of_order("[a, e]"), IsEmpty());
  EXPECT_THAT(of_order("[a, f]"), ElementsAre("8:12: an order cannot mix 'f', which is final, and 'a', which is not"));
  EXPECT_THAT(of_order("[f, a]"), ElementsAre("8:12: an order cannot mix 'f', which is final, and 'a', which is not"));
  EXPECT_THAT(of_order("[a, A1]"), ElementsAre("8:12: no process is named 'A1'"));
}

TEST(Complaints, OfPortNames) {
  EXPECT_THAT(complaints_of(with_process("ports: [http, 8080, 'a b']")),
              ElementsAre(HasSubstr("2:15: '8080' is a number, not a port's name"),
                          HasSubstr("2:21: 'a b' is no name for a port")));
}

TEST(Complaints, OfYamlThatIsNone) {
  EXPECT_THAT(complaints_of("a: b: c"), ElementsAre(StartsWith("1:5: not YAML: ")));
  EXPECT_THAT(complaints_of("name: x\nprocesses:\n\t- name: p\n"), ElementsAre(HasSubstr("indented with a tab")));
  EXPECT_THAT(complaints_of("name: x\n---\nname: y\n"), ElementsAre(HasSubstr("a task file holds one document")));
  EXPECT_THAT(complaints_of("name: &x a\nuser: *x\n"),
              ElementsAre(StartsWith("2:7: aliases ('*name') are not supported")));
  EXPECT_THAT(complaints_of("name: !!python/object x\n"), ElementsAre(HasSubstr("tags are not supported")));
  EXPECT_THAT(complaints_of("name: x\nname: y\n"), ElementsAre("2:1: 'name' stands twice in this map"));
  EXPECT_THAT(complaints_of("[a]: b\n"), ElementsAre(StartsWith("1:1: a key must be text")));
  EXPECT_THAT(complaints_of("processes: [{name: p, cmdline: {{x}}}]"),
              Contains(HasSubstr("a text that begins with '{{' must stand in quotes")));
  EXPECT_THAT(complaints_of("# only a comment\n"), Contains(HasSubstr("the file holds no task")));
  EXPECT_EQ(task_of("processes: [{name: !!str 5, cmdline: x}]").processes[0].name, "5");
}

TEST(Complaints, OfJsonThatIsNone) {
  EXPECT_THAT(complaints_of("{\"name\": 'x'}"), ElementsAre("1:10: not JSON: expected a value, found ''x''"));
  EXPECT_THAT(complaints_of("{\"name\": \"x\",\n \"processes\": [}"), ElementsAre(StartsWith("2:16: not JSON: ")));
}

TEST(Complaints, NeverCarryControlCharactersToATerminal) {
  for (const Complaint& complaint :
       read_task("processes: [{name: \"\\e[2J\", cmdline: x}]\norder: [\"\\e[2J\", \"\\e[2J\"]\n\"\\e]0;x\": 1")
           .complaints) {
    EXPECT_EQ(complaint.message.find('\x1b'), std::string::npos) << complaint.message;
  }
}

}  // namespace
}  // namespace dewar
