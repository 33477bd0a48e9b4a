;
// Behind axe-core's own text. A style sheet need not be fetched again to be judged.
return axe
  .run(document, { preload: false, rules: { "target-size": { enabled: true } } })
  .then(({ violations }) =>
    violations.flatMap(({ id, help, nodes }) =>
      nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html}\n${failureSummary}`),
    ),
  );
