"""Holds the chat templates against PyPI's jinja2, set up as `transformers` does.

  reference.py write               makes cases.json: templates with what published ones use, and what jinja2 gives
  reference.py compare PROGRAM     renders the same with render_lines, and shows what differs
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
USER = [{"role": "user", "content": " What is 2+2? "}]
TALK = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi\n"},
        {"role": "assistant", "content": "<think>\nhm\n</think>\n\nHello."}, {"role": "user", "content": "中 é?"}]
TEMPLATES = [
    # Llama 3, LLaDA
    "{% set loop_messages = messages %}{% for message in loop_messages %}{% set content = '<|h|>' + message['role'] + '<|e|>\n\n'+ "
    "message['content'] | trim + '<|eot|>' %}{% if loop.index0 == 0 %}{% set content = bos_token + content %}{% endif %}"
    "{{ content }}{% endfor %}{% if add_generation_prompt %}{{ '<|h|>assistant<|e|>\n\n' }}{% endif %}",
    # ChatML with a default system text
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\nYou help.<|im_end|>\n' }}"
    "{% endif %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}",
    # Qwen 3: namespace, reversed list, slices, tests, thinking
    """{%- if tools %}
    {{- '<|im_start|>system\\n' }}
    {%- for tool in tools %}
        {{- "\\n" }}
        {{- tool | tojson }}
    {%- endfor %}
{%- else %}
    {%- if messages[0].role == 'system' %}
        {{- '<|im_start|>system\\n' + messages[0].content + '<|im_end|>\\n' }}
    {%- endif %}
{%- endif %}
{%- set ns = namespace(multi_step_tool=true, last_query_index=messages|length - 1) %}
{%- for message in messages[::-1] %}
    {%- set index = (messages|length - 1) - loop.index0 %}
    {%- if ns.multi_step_tool and message.role == "user" and message.content is string and not(message.content.startswith('<tool_response>') and message.content.endswith('</tool_response>')) %}
        {%- set ns.multi_step_tool = false %}
        {%- set ns.last_query_index = index %}
    {%- endif %}
{%- endfor %}
{%- for message in messages %}
    {%- if message.content is string %}
        {%- set content = message.content %}
    {%- else %}
        {%- set content = '' %}
    {%- endif %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\\n' + content + '<|im_end|>' + '\\n' }}
    {%- elif message.role == "assistant" %}
        {%- set reasoning_content = '' %}
        {%- if message.reasoning_content is string %}
            {%- set reasoning_content = message.reasoning_content %}
        {%- else %}
            {%- if '</think>' in content %}
                {%- set reasoning_content = content.split('</think>')[0].rstrip('\\n').split('<think>')[-1].lstrip('\\n') %}
                {%- set content = content.split('</think>')[-1].lstrip('\\n') %}
            {%- endif %}
        {%- endif %}
        {%- if loop.index0 > ns.last_query_index %}
            {{- '<|im_start|>' + message.role + '\\n<think>\\n' + reasoning_content.strip('\\n') + '\\n</think>\\n\\n' + content.lstrip('\\n') }}
        {%- else %}
            {{- '<|im_start|>' + message.role + '\\n' + content }}
        {%- endif %}
        {%- if message.tool_calls %}
            {%- for tool_call in message.tool_calls %}{{- tool_call.name }}{%- endfor %}
        {%- endif %}
        {{- '<|im_end|>\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
    {%- if enable_thinking is defined and enable_thinking is false %}
        {{- '<think>\\n\\n</think>\\n\\n' }}
    {%- endif %}
{%- endif %}""",
    # Llama 2, Mistral, Gemma: alternation, raise_exception
    "{% if messages[0]['role'] == 'system' %}{% set loop_messages = messages[1:] %}{% set system_message = messages[0]['content'] %}"
    "{% else %}{% set loop_messages = messages %}{% set system_message = false %}{% endif %}{% for message in loop_messages %}"
    "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('Roles must alternate!') }}{% endif %}"
    "{% if loop.index0 == 0 and system_message != false %}{% set content = '<<SYS>>\n' + system_message + '\n<</SYS>>\n\n' + "
    "message['content'] %}{% else %}{% set content = message['content'] %}{% endif %}{% if message['role'] == 'user' %}"
    "{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}{% elif message['role'] == 'assistant' %}"
    "{{ ' ' + content.strip() + ' ' + eos_token }}{% endif %}{% endfor %}",
    "{{ bos_token }}{% if messages[0]['role'] == 'system' %}{{ raise_exception('System role not supported') }}{% endif %}"
    "{% for m in messages %}{{ '<start_of_turn>' ~ ('model' if m.role == 'assistant' else m.role) ~ '\n' ~ m.content|trim }}{% endfor %}",
    # Phi, DeepSeek, and the like
    "{% for message in messages %}{{'<|' + message['role'] + '|>' + '\n' + message['content'] + '<|end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt and messages[-1]['role'] != 'assistant' %}{{- '<|assistant|>\n' -}}{% endif %}",
    """{%- macro turn(role, content, end='<eot>') -%}
  <{{ role|upper }}>
  {{- content }}{{ end }}
{%- endmacro -%}
{% for m in messages if m.role != 'system' %}
{{ turn(m.role, m.content) }}
{{ turn(m['role'], content=m.content|length, end='') }}
{% else %}
none
{% endfor %}""",
    "{%- set date = '26 Jul 2024' if date_string is not defined else date_string %}{{ date }}\n\n{# comment #}\n  {% if true %}\n a\n {%- endif +%}\nb\n",
    "   {% for i in range(3) %}  \n {{ i }},{{ loop.last }} {{ loop.revindex }}{{ loop.previtem|default('-') }}\n   {% endfor %}\nx{%+ if true +%}\n y{% endif %}",
    "{% for m in messages %}{% if loop.index > 2 %}{% break %}{% endif %}{% if m.role == 'system' %}{% continue %}{% endif %}{{ m.content }}{% endfor %}",
    "{{ {'a': 1, 'b': [1, 2.5, none, true, 'x\"y\\'z']} | tojson }} {{ [1, 'two', {'k': (1,)}] }} {{ {'a': [1, {}], 'b': []} | tojson(indent=2) }}",
    "{{ messages | map(attribute='role') | join(', ') }} {{ messages | selectattr('role', 'equalto', 'user') | list | length }} "
    "{{ messages | rejectattr('role', '==', 'user') | map(attribute='content') | first }} {{ ['b', 'A', 'c'] | sort | join }} {{ [3, 1, 2] | max }}",
    "{% set ns = namespace(found=false, n=0) %}{% for m in messages %}{% if m.content is not none %}{% set ns.n = ns.n + 1 %}{% endif %}"
    "{% set ns.found = true %}{% endfor %}{{ ns.found }} {{ ns.n }} {{ ns.missing is defined }}",
    "{{ 7 // 2 }} {{ 7 / 2 }} {{ -7 % 3 }} {{ 2 ** 3 }} {{ 1 < 2 < 3 }} {{ not false and (1 == 1.0) }} {{ 'a' in 'abc' }} {{ 'x' not in ['x'] }} {{ 1 if false }}",
    "{{ 'a-b-c'.split('-') }} {{ 'a b  c'.split() }} {{ 'a-b-c'.rsplit('-', 1) }} {{ 'Ab c'.title() }} {{ 'xabcx'.strip('x') }} {{ 'abc'.replace('b', 'é') }} "
    "{{ 'é中x'[1] }} {{ 'é中x'[::-1] }} {{ 'abc'[-2:] }} {{ 'aXb'.lower() ~ 'a'.upper() }} {{ 'abc'.find('c') }} {{ ' x ' | trim | length }}",
    "{% set a, b = 1, 'x' %}{{ a }}{{ b }}{% for k, v in {'p': 1, 'q': 2}.items() %}{{ k }}={{ v }};{% endfor %}{% for k, v in {'z': 1, 'a': 2} | dictsort %}{{ k }}{% endfor %}",
    "{% set x %}\n  block {{ 1 + 1 }}\n{% endset %}[{{ x }}]{% set y | trim | upper %} q {% endset %}[{{ y }}]{% filter upper %}abc{% endfilter %}{% with z = 3 %}{{ z }}{% endwith %}{{ z }}",
    "{{ undefined_name }}{{ undefined_name is defined }}{{ undefined_name | default('d') }}{{ '' | default('e', true) }}{{ messages[0].nothing is none }}{{ messages[0].get('nothing', 'g') }}",
    "{{ 'a\\n\\tb' }}{{ \"it's\" }}{{ 'a' 'b' }}{{ 1.0 }} {{ 1e20 }} {{ 0.1 + 0.2 }} {{ 10 | float }} {{ '3' | int + 1 }} {{ 'line1\nline2' | indent(2) }}",
    "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}{{ messages is iterable }}{{ messages is mapping }}{{ messages[0] is mapping }}",
    "{% for a in [1, 2] %}{% for b in [3, 4] %}{{ loop.depth }}{{ a }}{{ b }}{{ loop.cycle('x', 'y') }}{% endfor %}{% endfor %}{% set q = 1 %}{% for a in [1] %}{% set q = 2 %}{{ q }}{% endfor %}{{ q }}",
    "{% if messages[0].role not in ['user', 'system'] %}{{ raise_exception('Unknown role: ' + messages[0].role) }}{% endif %}ok",
    "a\r\nb\n{%- if false -%} x {%- else -%} y {%- endif -%}\n\n z \n\n",
    "{{ 'x' * 3 }}{{ [1] + [2] }}{{ (1, 2) }}{{ [] }}{{ {} }}{{ none }}{{ true }}{{ 'é' | tojson }}{{ '<&>' | tojson }}{{ 5 is odd }}{{ 6 is divisibleby 3 }}",
]


def render(source, messages, generate, variables):
    import jinja2
    import jinja2.ext
    import jinja2.nodes
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    class Generation(jinja2.ext.Extension):
        tags = {"generation"}

        def parse(self, parser):
            line = next(parser.stream).lineno
            body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
            return jinja2.nodes.Scope(body).set_lineno(line)

    def refuse(message):
        raise jinja2.exceptions.TemplateError(message)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True,
                                                extensions=[Generation, "jinja2.ext.loopcontrols"])
    environment.filters["tojson"] = lambda value, ensure_ascii=False, indent=None, separators=None, sort_keys=False: json.dumps(
        value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
    environment.globals["raise_exception"] = refuse
    try:
        return {"text": environment.from_string(source).render(messages=messages, tools=None, documents=None,
                                                               add_generation_prompt=generate, **variables)}
    except jinja2.exceptions.TemplateError as error:
        return {"refused": str(error)}


def cases():
    for source in TEMPLATES:
        for messages in (USER, TALK):
            for generate in (False, True):
                variables = {"bos_token": "<s>", "eos_token": "</s>"} | ({"enable_thinking": False} if generate else {})
                case = {"template": source, "messages": messages, "generate": generate, "variables": variables}
                yield case, render(source, messages, generate, variables)


def compare(program):
    wanted = list(cases())
    run = subprocess.run([program], input="\n".join(json.dumps(case) for case, _ in wanted), capture_output=True, text=True,
                         check=True)
    differ = 0
    for (case, answer), line in zip(wanted, run.stdout.split("\n")):
        got = json.loads(line)
        same = got.get("text") == answer.get("text") and answer.get("refused", "") in got.get("error", "")
        differ += not same
        if not same:
            print(case["template"][:300], "\n  WANTED", answer, "\n  GOT   ", got)
    print(len(wanted), "cases,", differ, "differ")
    return differ > 0


def write():
    with open(f"{HERE}/cases.json", "w", encoding="utf-8") as file:
        json.dump([case | answer for case, answer in cases()], file, ensure_ascii=False, indent=0)
        file.write("\n")


if __name__ == "__main__":
    sys.exit(write() if sys.argv[1] == "write" else compare(sys.argv[2]))
