//! For tests: the plan of a question with all that the engine knows of it.

use arrow::array::RecordBatch;
use datafusion::physical_plan::displayable;

use super::*;
use crate::job::Answer;
use crate::stream::Said;

/// What one planning and one run of a question brought.
pub(crate) type Probed = (String, Result<Vec<RecordBatch>, QueryError>);

impl Engine {
    /// The physical plan with its operators' statistics, which no answer and no
    /// EXPLAIN shows, and the rows if they are wanted.
    pub(crate) async fn probe(
        &self,
        principal: &Principal,
        sql: &str,
        rows: bool,
    ) -> Result<Probed, QueryError> {
        let question = Question::from(sql);
        let deadline = self.deadline(&question);
        let place = self.places.enter(&principal.id, deadline).await?;
        let job = self.job(principal, question, &Until::new(deadline), &place);
        // On the engine's own threads, whose stack is deep enough.
        let planned = self.runtime()?.spawn(async move {
            let (answer, _) = job.answer().await?;
            let text = match &answer {
                Answer::Made(_) => String::new(),
                Answer::Plan(plan, _) => displayable(plan.as_ref())
                    .set_show_statistics(true)
                    .set_show_schema(true)
                    .indent(true)
                    .to_string(),
            };
            let (say, mut said) = mpsc::channel(AHEAD);
            let reading = async {
                match rows {
                    true => job.read(answer, &say).await,
                    false => Ok(()),
                }
            };
            let taking = async {
                let mut batches = vec![];
                while let Some(Said::Rows(batch)) = said.recv().await {
                    batches.push(batch);
                }
                batches
            };
            let (outcome, batches) = tokio::join!(
                async {
                    let outcome = reading.await;
                    // The end, for the one who takes.
                    let _ = say.send(Said::End).await;
                    outcome
                },
                taking
            );
            drop(place);
            Ok((text, outcome.map(|()| batches)))
        });
        planned.await.expect("a question does not panic")
    }
}
