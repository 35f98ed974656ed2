//! For tests: the plan of a question with all that the engine knows of it.

use datafusion::physical_plan::displayable;

use super::*;
use crate::job::Answer;

impl Engine {
    /// The physical plan with its operators' statistics, which no answer and no
    /// EXPLAIN shows.
    pub(crate) async fn plan_with_statistics(
        &self,
        principal: &Principal,
        sql: &str,
    ) -> Result<String, QueryError> {
        let question = Question::from(sql);
        let deadline = self.deadline(&question);
        let place = self.places.enter(&principal.id, deadline).await?;
        let job = self.job(principal, question, &Until::new(deadline), &place);
        let runtime = self.runtime()?;
        // On the engine's own threads, whose stack is deep enough.
        let planned = runtime.spawn(async move {
            let answer = job.answer().await?.0;
            drop(place);
            Ok(match answer {
                Answer::Made(_) => String::new(),
                Answer::Plan(plan, _) => displayable(plan.as_ref())
                    .set_show_statistics(true)
                    .set_show_schema(true)
                    .indent(true)
                    .to_string(),
            })
        });
        planned.await.expect("planning does not panic")
    }
}
