// {{references}} in a file, and what the file's own `vars:` mean.
#include "tests/spec/reading.h"

namespace dewar {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string with_vars(const std::string& vars, const std::string& cmdline) {
  return "vars: " + vars + "\nprocesses:\n- name: p\n  cmdline: \"" + cmdline + "\"\n";
}
std::string cmdline_of(const std::string& vars, const std::string& cmdline) {
  return task_of(with_vars(vars, cmdline)).processes.at(0).cmdline;
}

TEST(Vars, AreFilledInWhereverATextStands) {
  EXPECT_EQ(cmdline_of("{a: 1, profile: {x: y, deep: {z: w}}}", "{{a}} {{profile.x}} {{profile[deep].z}}"), "1 y w");
  const TaskSpec task = task_of(R"(
vars: {retries: 4, size: 64MB, name: from-vars, mode: none}
processes: [{name: "p{{retries}}", cmdline: x, max_failures: "{{retries}}"}]
resources: {ram: "{{size}}", cpu: "{{retries}}"}
sandbox: {network: "{{mode}}", environment: {A: "{{name}}"}}
)");
  EXPECT_EQ(task.processes[0].name, "p4");
  EXPECT_EQ(task.processes[0].max_failures, 4u);
  EXPECT_EQ(task.resources->ram, 64u << 20);
  EXPECT_EQ(task.sandbox.network, Network::kNone);
  EXPECT_EQ(task.sandbox.environment.at("A"), "from-vars");
}

TEST(Vars, MayReferToEachOtherAndToTheHost) {
  EXPECT_EQ(cmdline_of("{a: '{{b}}!', b: '{{c}}', c: '{{mesos.instance}}'}", "{{a}}"), "{{mesos.instance}}!");
  EXPECT_EQ(cmdline_of("{which: b, a_b: yes}", "{{a_{{which}}}}"), "yes");
}

TEST(Vars, FieldsAroundATextCanBeReferredToAndTheNearestWins) {
  EXPECT_EQ(cmdline_of("{name: far}", "{{name}}"), "p");
  const TaskSpec task = task_of(R"(
name: outer
vars: {here: "{{there}}", there: v}
processes: [{name: p, cmdline: "{{name}} {{resources.cpu}} {{here}}"}]
resources: {cpu: 2}
)");
  EXPECT_EQ(task.processes[0].cmdline, "p 2 v");
}

TEST(Vars, ReferencesOfTheHostStay) {
  const std::string all =
      "{{thermos.task_id}} {{thermos.user}} {{thermos.ports[a-b]}} {{mesos.instance}} {{mesos.hostname}} {{&x}}";
  EXPECT_EQ(cmdline_of("{}", all), all);
}

TEST(Vars, AnUnknownReferenceIsToldWithAGuess) {
  EXPECT_THAT(complaints_of(with_vars("{profile: {version: 1}}", "{{profile.verison}}")),
              ElementsAre("4:12: nothing is known as '{{profile.verison}}'; did you mean 'profile.version'?"));
  EXPECT_THAT(complaints_of(with_vars("{}", "{{thermos.port[http]}}")),
              ElementsAre(HasSubstr("known on the host are thermos.ports[NAME], thermos.task_id")));
  EXPECT_THAT(complaints_of(with_vars("{}", "{{mesos.instanse}}")), ElementsAre(HasSubstr("mesos.instance")));
}

TEST(Vars, AMapIsNoText) {
  EXPECT_THAT(complaints_of(with_vars("{a: {b: c}}", "{{a}}")),
              ElementsAre("4:12: '{{a}}' stands for a map, not for a text"));
  EXPECT_THAT(complaints_of(with_vars("{a: [1]}", "x")), ElementsAre("1:11: 'a' must be text or a map, found a list"));
}

TEST(Vars, ACircleIsToldOnceWithItsPath) {
  EXPECT_THAT(complaints_of(with_vars("{a: '{{b}}', b: '{{c}}', c: '{{a}}'}", "{{a}} {{b}}")),
              ElementsAre("1:11: references go round in a circle: a -> b -> c -> a"));
  EXPECT_THAT(complaints_of(with_vars("{}", "{{cmdline}}")),
              ElementsAre("4:12: references go round in a circle: cmdline -> cmdline"));
}

TEST(Vars, AProblemInAVariableIsToldWhereItStandsAndOnlyThere) {
  EXPECT_THAT(complaints_of(with_vars("{a: '{{nope}}', b: '{{a}}'}", "{{a}} {{b}}")),
              ElementsAre("1:11: nothing is known as '{{nope}}'"));
}

TEST(Vars, TheHostsNamesAreTaken) {
  EXPECT_THAT(complaints_of(with_vars("{mesos: {instance: 3}}", "x")),
              ElementsAre("1:8: 'mesos' is filled in on the host and cannot be a variable"));
}

TEST(Vars, AReferenceOfTheHostFitsOnlyWhereATextIsWanted) {
  EXPECT_THAT(complaints_of(with_process("max_failures: '{{mesos.instance}}'")),
              ElementsAre("2:15: 'max_failures' must be a whole number, found '{{mesos.instance}}'"));
}

TEST(Vars, ManyLevelsOfReferencesEndInWords) {
  std::string vars = "{v0: x";
  for (int i = 1; i <= 300; ++i) vars += ", v" + std::to_string(i) + ": '{{v" + std::to_string(i - 1) + "}}'";
  EXPECT_EQ(cmdline_of(vars + "}", "{{v300}}"), "x") << "each is filled in once, in the order of the file";
  std::string backwards = "{v0: x";
  for (int i = 300; i >= 1; --i) backwards += ", v" + std::to_string(i) + ": '{{v" + std::to_string(i - 1) + "}}'";
  EXPECT_THAT(complaints_of(with_vars(backwards + "}", "x")),
              testing::Contains(HasSubstr("references lead through more than 100 texts")));
}

}  // namespace
}  // namespace dewar
